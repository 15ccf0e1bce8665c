//! Colours and type of pictures, on light and on dark ground, as the style sheet that SVG and pages share.

use super::Hue;

/// The ground that a picture is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// White.
    Light,
    /// Nearly black.
    Dark,
    /// As the reader's system prefers; light on paper.
    Adaptive,
}

/// Colours for one ground.
pub(in crate::report) struct Colours {
    pub(in crate::report) ground: &'static str,
    pub(in crate::report) ink: &'static str,
    pub(in crate::report) quiet: &'static str,
    pub(in crate::report) grid: &'static str,
    /// Told apart also by those who see fewer colours: neighbours differ in lightness too.
    pub(in crate::report) palette: [&'static str; 8],
}

pub(in crate::report) const LIGHT: Colours = Colours {
    ground: "#ffffff",
    ink: "#1c2128",
    quiet: "#5b6570",
    grid: "#e4e8ec",
    palette: ["#1d63b0", "#c9500e", "#0a8f72", "#8650a6", "#a87400", "#2a9fd0", "#c03f78", "#6d5a45"],
};

pub(in crate::report) const DARK: Colours = Colours {
    ground: "#14171c",
    ink: "#e7ebf0",
    quiet: "#9ea9b5",
    grid: "#2a3139",
    palette: ["#6fb1f5", "#f4915a", "#3dc7a5", "#c79fe3", "#e2b544", "#8fd8f7", "#f28fb8", "#c9ad8f"],
};

/// What the style sheet is besides its colours.
const SHAPES: &str = "\
.chart text{font-family:Inter,system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:12px;fill:currentColor}
.chart .head{font-size:17px;font-weight:600}
.chart .line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.chart .dash{stroke-width:1.5;stroke-dasharray:5 4;stroke-linecap:butt}
.chart .rule{fill:none;stroke:currentColor;stroke-width:1;stroke-dasharray:2 3}
.chart .grid{fill:none;stroke-width:1}
.chart .band{fill:currentColor;fill-opacity:.16;stroke:none}
.chart .dot,.chart .bar{fill:currentColor}
.chart .name{font-size:12px;font-weight:600}
.chart .small{font-size:11px}
.chart .hit{fill:none;stroke:#000;stroke-opacity:0;stroke-width:14;pointer-events:stroke}
";

/// The style sheet of pictures on a ground.
pub(in crate::report) fn sheet(theme: Theme) -> String {
    match theme {
        Theme::Light => SHAPES.to_owned() + &colours(&LIGHT),
        Theme::Dark => SHAPES.to_owned() + &colours(&DARK),
        Theme::Adaptive => {
            let dark = colours(&DARK);
            format!("{SHAPES}{}@media screen and (prefers-color-scheme:dark){{\n{dark}}}\n", colours(&LIGHT))
        }
    }
}

fn colours(colours: &Colours) -> String {
    let Colours { ground, ink, quiet, grid, palette } = colours;
    let mut text = format!(
        ".chart{{color:{ink}}}\n.chart .ground{{fill:{ground}}}\n.chart .ink{{color:{ink}}}\n.chart .quiet{{color:{quiet}}}\n\
         .chart .grid{{stroke:{grid}}}\n.chart .halo{{stroke:{ground};stroke-width:3;stroke-linejoin:round;paint-order:stroke}}\n\
         .chart .dot{{stroke:{ground};stroke-width:1}}\n"
    );
    for (index, colour) in palette.iter().enumerate() {
        text += &format!(".chart .c{index}{{color:{colour}}}\n");
    }
    text
}

impl Hue {
    /// The class of its elements.
    pub(super) fn class(self) -> String {
        match self {
            Self::Of(index) => format!("c{}", index % LIGHT.palette.len()),
            Self::Quiet => "quiet".to_owned(),
            Self::Ink => "ink".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance as WCAG defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |from: usize| {
            let value = f64::from(u8::from_str_radix(&colour[from..from + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn lines_and_text_stand_out_from_their_ground() {
        for Colours { ground, ink, quiet, palette, .. } in [&LIGHT, &DARK] {
            assert!(contrast(ink, ground) > 12.0 && contrast(quiet, ground) > 4.5);
            for colour in palette {
                assert!(contrast(colour, ground) >= 2.9, "{colour} on {ground}: {:.2}", contrast(colour, ground));
            }
        }
    }

    #[test]
    fn images_get_one_ground_and_pages_get_both() {
        assert!(!sheet(Theme::Light).contains("@media") && !sheet(Theme::Dark).contains("@media"));
        let both = sheet(Theme::Adaptive);
        assert!(both.contains(LIGHT.ink) && both.contains(DARK.ink) && both.contains("@media screen"));
    }
}
