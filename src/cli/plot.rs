//! `rooflab plot`: documents as pictures.

use std::path::{Path, PathBuf};

use rooflab::profile::Profile;
use rooflab::report::{self, Chart, Family, Frame, Placed, Theme};

use super::Answer;
use super::args::plot::{self as args, Format, Ground, What};
use super::context::{Context, IN_A_FILE, file, save};
use super::diagnose::diagnoses;
use super::error::CliError;
use super::estimate::{Request, document, load_profiles};

/// Pixels of an image for each one of the picture.
const PNG_SCALE: f32 = 2.0;

pub(crate) fn run(context: &mut Context, arguments: &args::Plot) -> Result<Answer, CliError> {
    let format = format(context, arguments)?;
    let charts = charts(context, &arguments.what)?;
    write(context, arguments, &charts, format)?;
    Ok(Answer::Yes)
}

/// The format that was asked for; else that of the file's name; else text.
fn format(context: &Context, arguments: &args::Plot) -> Result<Format, CliError> {
    let chosen = if context.json { Some(Format::Json) } else { arguments.format };
    if let Some(format) = chosen {
        return Ok(format);
    }
    let Some(path) = file(arguments.output.as_deref()) else { return Ok(Format::Text) };
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default();
    Format::of_extension(&extension).ok_or_else(|| {
        CliError::new(format!("the name of `{}` does not say what to write", path.display()))
            .with_hint("end it with `.svg`, `.png`, `.html`, `.txt`, `.csv` or `.json`, or add `--format svg`")
    })
}

fn charts(context: &mut Context, what: &What) -> Result<Vec<Chart>, CliError> {
    let curves = |context: &mut Context, names: &args::Profiles, family| {
        let profiles = load_profiles(context, names)?;
        let chart = report::curves(family, &profiles.iter().collect::<Vec<_>>());
        drawn(vec![chart], &profiles, "curve of that kind")
    };
    match what {
        What::Roofline { profiles, model, scene } => {
            let profiles = load_profiles(context, profiles)?;
            let documents = match model {
                None => Vec::new(),
                Some(model) => {
                    let request = Request::of(context, model, scene)?;
                    profiles.iter().map(|profile| document(context, &request, profile)).collect::<Result<_, _>>()?
                }
            };
            let name = |phase: &str, profile: &str| {
                if profiles.len() > 1 { format!("{phase} on {profile}") } else { phase.to_owned() }
            };
            let steps: Vec<_> = documents
                .iter()
                .flat_map(|document| {
                    let estimate = &document.estimate;
                    let profile = &estimate.hardware.profile;
                    [(name("decode", profile), &estimate.decode), (name("prefill", profile), &estimate.prefill)]
                })
                .collect();
            let steps: Vec<Placed<'_>> = steps.iter().map(|(name, account)| Placed { name, account }).collect();
            let mut chart = report::roofline(&profiles.iter().collect::<Vec<_>>(), &steps);
            if let Some(document) = documents.first() {
                chart.title = format!("Roofline of {}", document.model.name);
            }
            drawn(vec![chart], &profiles, "bandwidth and no peak of arithmetic")
        }
        What::Bandwidth(names) => curves(context, names, Family::Bandwidth),
        What::Latency(names) => curves(context, names, Family::Latency),
        What::Weights(names) => curves(context, names, Family::Weights),
        What::Attention(names) => curves(context, names, Family::Attention),
        What::Products(names) => {
            let profiles = load_profiles(context, names)?;
            drawn(profiles.iter().flat_map(report::products).collect(), &profiles, "curve of matrix products")
        }
        What::Breakdown(estimated) => {
            let documents = estimates(context, estimated, false)?;
            Ok(documents.iter().flat_map(report::breakdown).collect())
        }
        What::Frontier(estimated) => {
            let documents = estimates(context, estimated, true)?;
            let name = |of: &rooflab::estimate::Document| of.estimate.hardware.device.clone();
            let answers: Vec<_> = documents.iter().map(|document| (name(document), &document.estimate)).collect();
            let mut chart = report::frontier(&answers);
            if let Some(document) = documents.first() {
                chart.title = format!("Throughput and latency of {}", document.model.name);
            }
            if chart.is_empty() {
                return Err(CliError::new(format!(
                    "nothing of `{}` fits into the memory of the device",
                    estimated.model
                ))
                .with_hint("narrower weights, such as `--weights w4a16`, or more devices, such as `--tp 2`"));
            }
            Ok(vec![chart])
        }
        What::Waterfall { run } => Ok(diagnoses(context, run)?.iter().flat_map(report::waterfall).collect()),
    }
}

fn estimates(
    context: &mut Context,
    estimated: &args::Estimated,
    with_frontier: bool,
) -> Result<Vec<rooflab::estimate::Document>, CliError> {
    let profiles = load_profiles(context, &estimated.profiles)?;
    let request = Request::of(context, &estimated.model, &estimated.scene)?;
    let request = if with_frontier { request.with_frontier() } else { request };
    profiles.iter().map(|profile| document(context, &request, profile)).collect()
}

/// The pictures, unless there is nothing to see.
fn drawn(charts: Vec<Chart>, profiles: &[Profile], what: &str) -> Result<Vec<Chart>, CliError> {
    if charts.iter().all(Chart::is_empty) {
        let names: Vec<String> = profiles.iter().map(|profile| format!("`{}`", profile.name)).collect();
        return Err(CliError::new(format!("there is no {what} in {}", names.join(", ")))
            .with_hint("`rooflab probe` measures curves; `rooflab profile show` says what a profile has"));
    }
    Ok(charts)
}

fn write(context: &mut Context, arguments: &args::Plot, charts: &[Chart], format: Format) -> Result<(), CliError> {
    let theme = match arguments.theme {
        Ground::Auto => Theme::Adaptive,
        Ground::Light => Theme::Light,
        Ground::Dark => Theme::Dark,
    };
    let rendered = |chart: &Chart| -> Result<Vec<u8>, CliError> {
        Ok(match format {
            Format::Svg => report::svg(chart, &Frame::alone(theme)).into_bytes(),
            Format::Png => report::png(chart, theme, PNG_SCALE)
                .map_err(|error| CliError::caused_by("cannot draw the image", &error))?,
            Format::Csv => report::chart_csv(chart).into_bytes(),
            Format::Text | Format::Html | Format::Json => Vec::new(),
        })
    };
    let path = file(arguments.output.as_deref());
    let whole = match format {
        Format::Svg | Format::Png | Format::Csv => None,
        Format::Html => Some(report::pictures(charts, theme)),
        Format::Json => {
            let json = match charts {
                [one] => serde_json::to_string_pretty(one),
                several => serde_json::to_string_pretty(several),
            };
            Some(json.map_err(|error| CliError::caused_by("cannot write JSON", &error))? + "\n")
        }
        Format::Text => {
            let style = match path {
                None => context.style(),
                Some(_) => IN_A_FILE,
            };
            Some(charts.iter().map(|chart| report::terminal(chart, style)).collect::<Vec<_>>().join("\n"))
        }
    };
    match (whole, path) {
        (Some(text), path) => context.write_in(path, &text),
        (None, None) => match charts {
            [one] => context.write_bytes(&rendered(one)?),
            several => {
                Err(CliError::new(format!("these are {} pictures, and standard output holds one", several.len()))
                    .with_hint("name a file with `-o pictures.svg`: the second goes to `pictures-2.svg`"))
            }
        },
        (None, Some(path)) => {
            charts.iter().enumerate().try_for_each(|(index, chart)| save(&numbered(path, index), &rendered(chart)?))
        }
    }
}

/// The path of one of several files: `name.svg`, `name-2.svg`, …
fn numbered(path: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return path.to_path_buf();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{}{extension}", index + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_pictures_are_numbered() {
        assert_eq!(numbered(Path::new("a/b.svg"), 0), Path::new("a/b.svg"));
        assert_eq!(numbered(Path::new("a/b.svg"), 1), Path::new("a/b-2.svg"));
    }
}
