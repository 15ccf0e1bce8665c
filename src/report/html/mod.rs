//! Pages that need nothing else: type, style, script, pictures and documents are all in one file. Readable without the script, which adds hover values alone.

mod blocks;
mod embed;
mod machine;
mod models;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::chart::canvas::escaped;
use super::chart::style::{DARK, LIGHT, Theme, sheet};
use super::chart::{Chart, Frame, REGULAR, SEMIBOLD, svg};
use super::{Block, Tone};

pub use machine::{Machine, machines};
pub use models::{Rated, Run};

/// What a browser lets the page load: nothing that is not in it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:; img-src data:";
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    /// The title of the document.
    pub(super) title: String,
    /// What stands above everything else, as HTML.
    pub(super) head: String,
    /// Its sections.
    pub(super) sections: Vec<Section>,
    /// Documents that can be read back from it: their schema and their JSON.
    pub(super) documents: Vec<(String, String)>,
    /// What stands below everything else, as HTML.
    pub(super) foot: String,
}

/// A section of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// Its title.
    pub(super) title: String,
    /// What it says, in a sentence or two.
    pub(super) lead: String,
    /// Its parts.
    pub(super) parts: Vec<Part>,
}

/// A part of a section.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// A picture.
    Chart(Box<Chart>),
    /// Lines and tables.
    Blocks(Vec<Block>),
    /// Figures to be seen first: what, how much, and what is to be said of it.
    Tiles(Vec<[String; 3]>),
    /// A part that is folded away, with its title.
    Folded(String, Vec<Block>),
}

/// Pictures as a page.
#[must_use]
pub fn pictures(charts: &[Chart], theme: Theme) -> String {
    let title = charts.first().map_or_else(|| "rooflab".to_owned(), |chart| chart.title.clone());
    let parts = charts.iter().map(|chart| Part::Chart(Box::new(chart.clone()))).collect();
    let sections = vec![Section { parts, ..Section::default() }];
    let foot = "<p>Drawn by <b>rooflab plot</b>.</p>".to_owned();
    let page = Page { title, sections, foot, ..Page::default() };
    page.render(theme)
}

impl Page {
    pub(super) fn render(&self, theme: Theme) -> String {
        let font = |bytes: &[u8], weight: u32| {
            format!(
                "@font-face{{font-family:Inter;font-weight:{weight};font-display:block;src:url(data:font/otf;base64,{}) format('opentype')}}\n",
                STANDARD.encode(bytes)
            )
        };
        let colours = |name: &str, colours: &super::chart::style::Colours| {
            format!(
                "{name}{{--ground:{};--ink:{};--quiet:{};--grid:{};--accent:{}}}\n",
                colours.ground, colours.ink, colours.quiet, colours.grid, colours.palette[0]
            )
        };
        let variables = match theme {
            Theme::Light => colours(":root", &LIGHT),
            Theme::Dark => colours(":root", &DARK) + ":root{color-scheme:dark}\n",
            Theme::Adaptive => format!(
                "{}@media screen and (prefers-color-scheme:dark){{{}:root{{color-scheme:dark}}}}\n",
                colours(":root", &LIGHT),
                colours(":root", &DARK)
            ),
        };
        let sections: String = self.sections.iter().map(Section::render).collect();
        let documents: String = self.documents.iter().map(|(schema, json)| embed::script(schema, json)).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"generator\" content=\"rooflab\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n\
             <style>\n{}{}{variables}{STYLE}{}</style>\n</head>\n<body>\n<main>\n{}{sections}</main>\n\
             <footer>{}</footer>\n<div id=\"tip\" role=\"tooltip\" hidden></div>\n{documents}<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            escaped(&self.title),
            font(REGULAR, 400),
            font(SEMIBOLD, 600),
            sheet(theme),
            self.head,
            self.foot,
        )
    }
}

impl Section {
    fn render(&self) -> String {
        let mut out = "<section>\n".to_owned();
        if !self.title.is_empty() {
            out += &format!("<h2>{}</h2>\n", escaped(&self.title));
        }
        if !self.lead.is_empty() {
            out += &format!("<p class=\"lead\">{}</p>\n", escaped(&self.lead));
        }
        out.extend(self.parts.iter().map(Part::render));
        out + "</section>\n"
    }
}

impl Part {
    fn render(&self) -> String {
        match self {
            Self::Chart(chart) => figure(chart),
            Self::Blocks(blocks) => blocks::html(blocks),
            Self::Folded(title, blocks) => {
                let inner = blocks::html(blocks);
                format!("<details><summary>{}</summary>\n{inner}</details>\n", escaped(title))
            }
            Self::Tiles(tiles) => {
                let tile = |[what, much, about]: &[String; 3]| {
                    let (what, much, about) = (escaped(what), escaped(much), escaped(about));
                    format!("<li><span>{what}</span><strong>{much}</strong><small>{about}</small></li>\n")
                };
                format!("<ul class=\"tiles\">\n{}</ul>\n", tiles.iter().map(tile).collect::<String>())
            }
        }
    }
}

/// A picture twice, of which a page shows the one that fits.
fn figure(chart: &Chart) -> String {
    format!(
        "<figure>\n<figcaption><h3>{}</h3><p>{}</p></figcaption>\n<div class=\"wide\">{}</div>\n<div class=\"narrow\">{}</div>\n</figure>\n",
        escaped(&chart.title),
        escaped(&chart.subtitle),
        svg(chart, &Frame::PAGE),
        svg(chart, &Frame::PHONE),
    )
}

/// The class of a tone.
const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Strong => "strong",
        Tone::Dim => "dim",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
    }
}
