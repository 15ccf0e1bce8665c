//! `rooflab model …`: the models that rooflab knows, and what is in one.

use rooflab::model::{KvFormat, Model, Places, Precision, ResolveError, WeightFormat, presets, resolve};
use rooflab::report;
use rooflab::units::Bytes;
use serde_json::json;

use super::Answer;
use super::args::estimate as args;
use super::context::Context;
use super::error::CliError;

pub(crate) fn run(context: &mut Context, command: &args::Model) -> Result<Answer, CliError> {
    match command {
        args::Model::List => list(context),
        args::Model::Show { model, weights, kv, download } => {
            show(context, model, weights.as_deref(), kv.as_deref(), *download)
        }
    }
}

/// A model by what a person calls it.
///
/// Where files list more or less than the layers that were understood come to, a note says so: encoders of pictures, layers that predict further tokens, missing files.
pub(crate) fn load_model(context: &mut Context, name: &str, download: bool) -> Result<Model, CliError> {
    let places = Places { hugging_face_cache: context.hugging_face_cache(), download };
    let model = resolve(name, &places).map_err(|error| {
        let hint = match &error {
            ResolveError::NotCached { .. } => Some("download its `config.json` and give the path, or add `--download`"),
            ResolveError::NoPreset(_) => Some("`rooflab model list` shows the models that ship with rooflab"),
            _ => None,
        };
        let error = CliError::caused_by(format!("cannot read the model `{name}`"), &error);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })?;
    match model.problems().as_slice() {
        [] => {
            if let Some((stored, understood)) = unlike_its_files(&model) {
                context.say(&format!(
                    "note: the files of `{name}` hold {stored}; the layers that were understood come to {understood}"
                ));
            }
            Ok(model)
        }
        problems => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(CliError::new(format!("`{name}` is no model that anything could run: {}", problems.join("; "))))
        }
    }
}

/// Bytes of a model's files, and of the weights that were understood, where they differ by more than tables of rotations and the like.
fn unlike_its_files(model: &Model) -> Option<(Bytes, Bytes)> {
    const ALIKE: f64 = 0.01;
    let stored = Bytes(model.stored_bytes? as f64);
    let understood = model.weight_bytes(model.stored.as_ref()?);
    (((stored - understood) / stored).abs() > ALIKE).then_some((stored, understood))
}

/// The formats of a model's weights, with what they are called: the named one, or those it is stored in.
pub(crate) fn weights_of(model: &Model, name: Option<&str>) -> Result<(String, Precision), CliError> {
    Ok(match (name, &model.stored) {
        (Some(name), _) => {
            let format: WeightFormat = name.parse().map_err(|error| CliError::new(format!("{error}")))?;
            (name.to_owned(), Precision::uniform(model, format))
        }
        (None, Some(stored)) => (format!("{} (as stored)", model.formats_in_words(stored)), stored.clone()),
        (None, None) => {
            let half = rooflab::dtype::DType::Bf16;
            (half.name().to_owned(), Precision::uniform(model, WeightFormat::plain(half)))
        }
    })
}

/// The format of a cache, with what it is called: the named one, or that of the activations.
pub(crate) fn cache_of(precision: &Precision, name: Option<&str>) -> Result<(String, KvFormat), CliError> {
    let name = name.map_or_else(|| precision.activations.name().to_owned(), str::to_owned);
    let format = name.parse().map_err(|error| CliError::new(format!("{error}")))?;
    Ok((name, format))
}

fn list(context: &mut Context) -> Result<Answer, CliError> {
    let mut models = Vec::new();
    for preset in presets() {
        let model = preset.model().map_err(|error| CliError::caused_by("a bundled model cannot be read", &error))?;
        models.push((preset, model));
    }
    if context.json {
        let rows: Vec<_> = models
            .iter()
            .map(|(preset, model)| {
                let count = model.parameters();
                json!({
                    "name": preset.name,
                    "aliases": preset.aliases(),
                    "parameters": count.total,
                    "active_parameters": count.active,
                    "published": preset.published(),
                    "source": preset.source(),
                    "layers": model.layers.len(),
                    "max_context": model.max_context,
                })
            })
            .collect();
        context.write_json(&rows)?;
    } else {
        let rows: Vec<(&str, &Model)> = models.iter().map(|(preset, model)| (preset.name, model)).collect();
        context.show(&report::models(&rows))?;
    }
    Ok(Answer::Yes)
}

fn show(
    context: &mut Context,
    name: &str,
    weights: Option<&str>,
    kv: Option<&str>,
    download: bool,
) -> Result<Answer, CliError> {
    let model = load_model(context, name, download)?;
    let (weights_name, precision) = weights_of(&model, weights)?;
    let (kv_name, kv) = cache_of(&precision, kv)?;
    let facts = report::ModelView::new(&model, (&weights_name, &precision), (&kv_name, kv));
    if context.json {
        context.write_json(&facts)?;
    } else {
        context.show(&report::model(&facts))?;
    }
    Ok(Answer::Yes)
}
