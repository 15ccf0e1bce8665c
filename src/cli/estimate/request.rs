//! The arguments of an estimate, read: a model in its formats, a scenario, and what to do with them.

use rooflab::estimate::cost::Options;
use rooflab::estimate::energy::Rates;
use rooflab::estimate::link::Link;
use rooflab::estimate::memory::{Allocation, Budget};
use rooflab::estimate::offload::Offload;
use rooflab::estimate::search::{Requirement, parse_requirements};
use rooflab::estimate::{Dimension, Load, Scenario, Subject, Sweep, serving};
use rooflab::graph::{Layout, Routing};
use rooflab::model::{KvFormat, Model, Precision};
use rooflab::units::{Bytes, BytesPerSecond, Seconds, parse_duration, parse_size};

use crate::cli::args::estimate as args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::model::{cache_of, load_model, weights_of};

/// What is asked.
pub(in crate::cli) struct Request {
    pub(super) model: Model,
    /// Formats of the weights, with what they are called: the first is estimated, all are searched.
    pub(super) formats: Vec<(String, Precision)>,
    pub(super) kv: KvFormat,
    kv_name: String,
    routing: Routing,
    pub(super) scenario: Scenario,
    pub(super) options: Options,
    pub(super) requirements: Vec<Requirement>,
    pub(super) sweeps: Vec<Sweep>,
    pub(super) draft: Option<Draft>,
    pub(super) frontier: bool,
    pub(super) rates: Rates,
    /// Bytes of each device's memory, where they are said to be others than the profile's.
    pub(super) device_memory: Option<u64>,
}

/// A model that proposes tokens.
pub(super) struct Draft {
    model: Model,
    precision: Precision,
    kv: KvFormat,
    pub(super) acceptance: f64,
}

impl Request {
    pub(super) fn read(context: &mut Context, arguments: &args::Estimate) -> Result<Self, CliError> {
        agree(arguments)?;
        let request = Self::of(context, &arguments.model, &arguments.scene)?;
        let speculate = arguments.speculate.as_deref();
        let draft = speculate.map(|text| draft(context, text, &request.model, &arguments.scene)).transpose()?;
        let requirements = arguments.require.as_deref().map(parse_requirements).transpose();
        let requirements = requirements.map_err(|error| CliError::new(error.to_string()))?.unwrap_or_default();
        let rates = Rates { watts: arguments.power, price_per_hour: arguments.price };
        Ok(Self {
            requirements,
            sweeps: arguments.sweep.clone(),
            draft,
            frontier: arguments.frontier,
            rates: rates.checked().map_err(|error| CliError::new(error.to_string()))?,
            ..request
        })
    }

    /// A model in a scene, and nothing else asked.
    pub(in crate::cli) fn of(context: &mut Context, model: &str, scene: &args::Scene) -> Result<Self, CliError> {
        Self::in_formats(context, model, scene, scene.weights.as_deref())
    }

    /// The same with weights in another format.
    pub(in crate::cli) fn in_weights(
        context: &mut Context,
        model: &str,
        scene: &args::Scene,
        weights: &str,
    ) -> Result<Self, CliError> {
        Self::in_formats(context, model, scene, Some(weights))
    }

    fn in_formats(
        context: &mut Context,
        model: &str,
        scene: &args::Scene,
        weights: Option<&str>,
    ) -> Result<Self, CliError> {
        let model = load_model(context, model, scene.download)?;
        let formats = formats(&model, weights)?;
        let (kv_name, kv) = cache_of(&formats[0].1, scene.kv.as_deref())?;
        let routing = Routing::skewed(scene.skew).map_err(|error| CliError::new(error.to_string()))?;
        Ok(Self {
            formats,
            kv,
            kv_name,
            routing,
            scenario: scenario(scene)?,
            options: options(scene)?,
            requirements: Vec::new(),
            sweeps: Vec::new(),
            draft: None,
            frontier: false,
            rates: Rates::default(),
            device_memory: scene.device_memory,
            model,
        })
    }

    /// Whether most of its weights take less than a byte each.
    pub(in crate::cli) fn is_narrow(&self) -> bool {
        let bytes: Bytes = self.model.weight_bytes(&self.formats[0].1);
        bytes.get() < self.model.parameters().total as f64
    }

    /// The same with the frontier.
    pub(in crate::cli) fn with_frontier(self) -> Self {
        Self { frontier: true, ..self }
    }

    /// The model in the first of its formats.
    pub(super) fn subject(&self) -> Subject<'_> {
        self.subject_in(&self.formats[0].1)
    }

    /// The model in one of its formats.
    pub(super) fn subject_in<'a>(&'a self, precision: &'a Precision) -> Subject<'a> {
        Subject { model: &self.model, precision, kv: self.kv, routing: self.routing }
    }

    /// What its weights are called.
    pub(in crate::cli) fn weights_name(&self) -> String {
        self.formats[0].0.clone()
    }

    pub(super) fn kv_name(&self) -> String {
        self.kv_name.clone()
    }
}

impl Draft {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { model: &self.model, precision: &self.precision, kv: self.kv, routing: Routing::default() }
    }
}

/// Refuses arguments of which one would silently win.
fn agree(arguments: &args::Estimate) -> Result<(), CliError> {
    let swept = |dimension: Dimension| arguments.sweep.iter().any(|sweep| sweep.dimension == dimension);
    let loads = [
        (arguments.scene.rate.is_some(), "`--rate`"),
        (arguments.scene.concurrency.is_some() && swept(Dimension::Batch), "`--concurrency`"),
        (swept(Dimension::Batch), "`--sweep batch=…`"),
        (swept(Dimension::Concurrency), "`--sweep concurrency=…`"),
    ];
    let loads: Vec<&str> = loads.into_iter().filter_map(|(is_given, flag)| is_given.then_some(flag)).collect();
    if let [first, second, ..] = loads.as_slice() {
        return Err(CliError::new(format!(
            "{first} and {second} cannot be used together: each says how requests come"
        )));
    }
    match arguments.scene.weights.as_deref() {
        Some(list) if list.contains(',') && arguments.require.is_none() => {
            Err(CliError::new(format!("`--weights {list}` has several formats"))
                .with_hint("name one, or let `--require ttft<500ms` find the best of them"))
        }
        _ => Ok(()),
    }
}

/// The formats of the weights: those that are named, or what the model is stored in.
fn formats(model: &Model, names: Option<&str>) -> Result<Vec<(String, Precision)>, CliError> {
    match names {
        None => Ok(vec![weights_of(model, None)?]),
        Some(names) => names.split(',').map(|name| weights_of(model, Some(name.trim()))).collect(),
    }
}

/// Rows that a table of tokens may have more than another of the same tokens: tables are filled up for the hardware. As many as llama.cpp allows.
const UNUSED_TOKENS: u64 = 128;

/// Refuses a draft of other tokens than those of the model that checks them.
pub(in crate::cli) fn has_tokens_of(draft: &Model, model: &Model) -> Result<(), CliError> {
    if draft.vocab.abs_diff(model.vocab) <= UNUSED_TOKENS {
        return Ok(());
    }
    let message = format!("`{}` has {} tokens and `{}` {}", draft.name, draft.vocab, model.name, model.vocab);
    Err(CliError::new(message).with_hint("a draft must know the tokens of the model that checks it"))
}

/// `model:share`, a draft in the format it is stored in.
fn draft(context: &mut Context, text: &str, model: &Model, arguments: &args::Scene) -> Result<Draft, CliError> {
    let error =
        || CliError::new(format!("`--speculate {text}` is not a model and a share, such as `llama-3.2-1b:0.7`"));
    let (name, share) = text.rsplit_once(':').ok_or_else(error)?;
    let acceptance = share.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(error)?;
    let draft = load_model(context, name, arguments.download)?;
    has_tokens_of(&draft, model)?;
    let context = arguments.context.unwrap_or_else(|| arguments.prompt.saturating_add(arguments.generate));
    if let Some(longest) = draft.max_context.filter(|&longest| longest < context) {
        return Err(CliError::new(format!(
            "the draft `{}` ends at {longest} tokens, and {context} are asked of it",
            draft.name
        )));
    }
    let (_, precision) = weights_of(&draft, None)?;
    let kv = KvFormat::plain(precision.activations);
    Ok(Draft { model: draft, precision, kv, acceptance })
}

/// What the profile does not say.
fn options(arguments: &args::Scene) -> Result<Options, CliError> {
    let read = |flag, text: &Option<String>| text.as_deref().map(|text| link(flag, text)).transpose();
    Ok(Options {
        launching: None,
        link: read("--link", &arguments.link)?,
        host_link: read("--host-link", &arguments.host_link)?,
    })
}

/// `450GB/s,5us`, in any order.
pub(in crate::cli) fn link(flag: &str, text: &str) -> Result<Link, CliError> {
    let error =
        || CliError::new(format!("`{flag} {text}` is not a bandwidth and a latency above zero, such as `450GB/s,5us`"));
    let (first, second) = text.split_once(',').ok_or_else(error)?;
    let (rate, latency) = if first.trim_end().ends_with("/s") { (first, second) } else { (second, first) };
    let rate = rate.trim().strip_suffix("/s").ok_or_else(error)?;
    let bandwidth = BytesPerSecond(parse_size(rate).map_err(|_| error())? as f64);
    let latency: Seconds = parse_duration(latency.trim()).map_err(|_| error())?;
    Link::new(latency, bandwidth).map_err(|error| CliError::new(format!("`{flag} {text}`: {error}")))
}

fn scenario(arguments: &args::Scene) -> Result<Scenario, CliError> {
    let load = match (arguments.concurrency, arguments.rate) {
        (Some(concurrency), _) => Load::Closed(concurrency),
        (None, Some(rate)) => Load::Open(rate),
        (None, None) => Load::Batch(arguments.batch),
    };
    let offload = Offload::of(&arguments.offload, arguments.offload_serial);
    Ok(Scenario {
        request: serving::Request { prompt: arguments.prompt, output: arguments.generate },
        load,
        requests: arguments.requests,
        variability: arguments.variability,
        context: arguments.context,
        chunk: arguments.chunk,
        layout: Layout { tensor: arguments.tp, pipeline: arguments.pp, expert: arguments.ep, data: arguments.dp },
        budget: arguments.free_memory.map_or(Budget::OfTotal(arguments.memory), Budget::OfFree),
        block: arguments.block,
        allocation: if arguments.uniform_cache { Allocation::EveryLayerAlike } else { Allocation::Capped },
        reserve: Bytes(arguments.reserve as f64),
        host: arguments.host.unwrap_or_default(),
        offload: offload.map_err(|error| CliError::new(error.to_string()))?,
    })
}
