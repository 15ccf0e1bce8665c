//! RL001: the run was faster than its device can be.

use super::Rule;
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Figures, Kind, Phase};
use crate::diagnose::product;
use crate::diagnose::waterfall::Cause;
use crate::diagnose::what_if::value;
use crate::dtype::{DType, Kind as Format};
use crate::facts::DeviceKind;
use crate::graph::Kind as Work;
use crate::observe::{Caveat, Quantity};
use crate::resource::{ComputeUnit, Resource, Scope};
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL001",
    name: "faster than light",
    explain: "The run took less time than its operations take at the device's peak, or its bytes at the bandwidth of main memory. No software does that, so one of the inputs is not \
what it is said to be: the model is smaller, the prompts shorter, the batch smaller, the formats narrower, the devices more, a part of the prompts came from a cache, or the time was not taken from \
beginning to end. MFU and MBU are not cut at 100 %: what is above is how much the inputs are overstated at least.

It warns where the run was faster than what was measured on the device, which the datasheet still allows: then the profile is of a slower device, or was measured on a bad day. And it \
warns where nothing was measured and the run came within 5 % of the maker's figures, which hardly any program does.",
    check,
};

/// The share of the maker's figures above which a run is hard to believe.
const HARDLY: f64 = 0.95;

fn check(case: &Case<'_>) -> Option<Found> {
    let found = case.phases.iter().filter_map(|phase| doubt(case, phase));
    found.reduce(|a, b| if b.severity > a.severity { b } else { a })
}

fn doubt(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    let floor = phase.floor.as_ref()?;
    if is_integer_arithmetic(case, phase) {
        return None;
    }
    let word = phase.kind.word();
    let (name, share) = if floor.is_memory_bound() { ("MBU", floor.mbu) } else { ("MFU", floor.mfu) };
    let peaks = measured_floor(phase).filter(|&peaks| peaks > phase.measured);
    let percent = share * 100.0;
    let found = if share > 1.0 {
        Found::new(
            Severity::Error,
            format!(
                "{word} is faster than light: {name} {percent:.1} %. An input is overstated, by {:.1} % at least",
                percent - 100.0
            ),
        )
    } else if let Some(peaks) = peaks {
        Found::new(Severity::Warning, format!("{word} is faster than what was measured on this device allows"))
            .number(
                "floor by measured peaks",
                peaks.get(),
                EvidenceUnit::Seconds,
                format!("profile `{}`", case.inputs.profile.name),
            )
            .attempt("measure the device again, with nothing else running: `rooflab probe`")
    } else if !case.is_measured() && share > HARDLY {
        Found::new(
            Severity::Warning,
            format!("{word} is hard to believe: {name} {percent:.1} % of the maker's figures"),
        )
    } else {
        return None;
    };
    Some(with_evidence(case, phase, floor, found))
}

/// Whether a phase on a processor is faster than its floor allows because it may have multiplied integers: engines round activations to 8 bits for weights of integers,
/// and those multiply several times as fast as the floats of the floor.
fn is_integer_arithmetic(case: &Case<'_>, phase: &Phase) -> bool {
    let Some(floor) = phase.floor.filter(|floor| !floor.is_memory_bound()) else { return false };
    let peak = |unit| {
        let resource = Resource::Compute { unit, input: DType::Int8, accumulate: DType::Int32 };
        value(case.inputs.profile, resource, Scope::Device)
    };
    let peaks = [ComputeUnit::Matrix, ComputeUnit::Vector].into_iter().filter_map(peak);
    let step = case.placed.lower(&phase.step());
    let integers = step.graphs.iter().flat_map(|graph| &graph.operators).any(|operator| match operator.kind {
        Work::Product { weights, .. } | Work::Experts { weights, .. } => {
            weights.element.format().kind == Format::Integer
        }
        _ => false,
    });
    let highest = peaks.fold(0.0, f64::max);
    case.inputs.profile.device.kind == DeviceKind::Cpu
        && integers
        && floor.flops.get() / phase.measured.get() <= highest
}

/// The floor by measured peaks, where there is one.
fn measured_floor(phase: &Phase) -> Option<Seconds> {
    phase.spent_on(Cause::Ceilings)?;
    Some(phase.spent.iter().take_while(|spent| spent.on <= Cause::Ceilings).map(|spent| spent.time).sum())
}

fn with_evidence(case: &Case<'_>, phase: &Phase, floor: &Figures, found: Found) -> Found {
    let sheet = case.inputs.datasheet.map_or(&case.inputs.profile.name, |sheet| &sheet.name);
    let found = found.number("measured", phase.measured.get(), EvidenceUnit::Seconds, phase.from.clone()).number(
        "floor",
        floor.time.get(),
        EvidenceUnit::Seconds,
        format!("{} figures of `{sheet}`", floor.knowledge()),
    );
    let found = if floor.is_memory_bound() {
        found.number("weights, keys and values", floor.bytes.get(), EvidenceUnit::Bytes, "operator graph")
    } else {
        found.number("operations", floor.flops.get(), EvidenceUnit::Flops, "operator graph")
    };
    let cached = case.stated(Quantity::CacheHitRate).filter(|(share, _)| *share > 0.0);
    let is_cached = cached.is_some() || case.inputs.run.caveats.contains(&Caveat::CachedPrompts);
    let found = match cached {
        Some((share, from)) => found.number("prompt tokens from a cache", share, EvidenceUnit::Share, from),
        None => found,
    };
    let tokens = match phase.kind {
        Kind::Prefill => "the tokens of the prompts as the engine counted them, and whether a prefix came from a cache",
        Kind::Decode => "the tokens in the cache, and whether several tokens came out of a step",
    };
    let found = found.attempt(format!("check the unit of the time, the batch, and {tokens}"));
    if is_cached && phase.kind == Kind::Prefill {
        found.decide("the same run with the prefix cache off")
    } else {
        found.decide("the tokens, the batch and the formats that the engine's own log gives")
    }
}

/// How much faster than a limit at the measured clock a product may be: clocks move.
const CLOCKS_MOVE: f64 = 1.1;

/// How much faster than a measured ceiling: as far as a second visit of it may be off.
const COMES_BACK: f64 = 1.03;

/// What a product beats.
enum Beaten {
    /// A peak of arithmetic.
    Peak(product::Rate),
    /// The time that moving its matrices takes, and whose bandwidth that is.
    Memory(Seconds, String),
}

/// The same of a matrix product.
pub(super) fn of_product(case: &product::Case<'_>) -> Option<Found> {
    let (severity, beaten) = match impossible(case) {
        Some(beaten) => (Severity::Error, beaten),
        None => (Severity::Warning, beyond_measured(case)?),
    };
    let time = case.inputs.product.time;
    let says = match (severity, &beaten) {
        (Severity::Error, Beaten::Peak(rate)) => {
            let percent = case.rate / rate.value * 100.0;
            format!("the product is faster than light: {percent:.1} % of the maker's peak. An input is overstated")
        }
        (Severity::Error, Beaten::Memory(moved, _)) => {
            let percent = *moved / time * 100.0;
            format!("the product is faster than light: {percent:.1} % of the maker's bandwidth. An input is overstated")
        }
        _ => "the product is faster than what was measured on this device allows".to_owned(),
    };
    let found = Found::new(severity, says);
    let found =
        match beaten {
            Beaten::Peak(rate) => found
                .number("measured", case.rate, EvidenceUnit::FlopsPerSecond, "operations over `--time`")
                .number(format!("`{}`", rate.resource), rate.value, EvidenceUnit::FlopsPerSecond, rate.from),
            Beaten::Memory(moved, from) => found
                .number("measured", time.get(), EvidenceUnit::Seconds, "`--time`")
                .number("its matrices take", moved.get(), EvidenceUnit::Seconds, from),
        };
    let found = found.attempt("check the unit of the time, that it is that of one product, the shape and the format");
    Some(if severity == Severity::Warning {
        found.attempt("measure the device again, with nothing else running: `rooflab probe`")
    } else {
        found.attempt(
            "check the threads, and that the product was waited for: libraries for GPUs return before it is done",
        )
    })
}

/// What of the maker's figures a product beats.
fn impossible(case: &product::Case<'_>) -> Option<Beaten> {
    let margin = if case.references.is_limit { CLOCKS_MOVE } else { 1.0 };
    let peak = beaten_peak(case, case.references.maker.as_ref().ok(), margin);
    let from = || "the maker's bandwidth of main memory, for what no cache keeps".to_owned();
    peak.or_else(|| beaten_memory(case, case.moved_at_least, 1.0, from()))
}

/// What of the measured ceilings a product beats.
fn beyond_measured(case: &product::Case<'_>) -> Option<Beaten> {
    let from = || format!("profile `{}`, bandwidth of where they fit", case.inputs.profile.name);
    let peak = beaten_peak(case, case.references.peak.as_ref().ok(), COMES_BACK);
    peak.or_else(|| beaten_memory(case, case.moved_as_measured, COMES_BACK, from()))
}

fn beaten_peak(case: &product::Case<'_>, peak: Option<&product::Rate>, by: f64) -> Option<Beaten> {
    peak.filter(|peak| case.rate / peak.value > by).cloned().map(Beaten::Peak)
}

fn beaten_memory(case: &product::Case<'_>, moved: Option<Seconds>, by: f64, from: String) -> Option<Beaten> {
    moved.filter(|&moved| moved / case.inputs.product.time > by).map(|moved| Beaten::Memory(moved, from))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use super::*;
    use crate::observe::Typed;

    /// C23: the slope of the time to the first token by the batch.
    fn llama(prompt: u64) -> Run {
        let typed = Typed {
            ttft: Some(ms(19.68)),
            batch: Some(1),
            prompt: Some(prompt),
            generate: Some(1),
            ..Typed::default()
        };
        Run::new("llama-7b", "nvidia-a100-sxm-80gb", typed)
    }

    #[test]
    fn c23_an_overstated_input_is_an_error() {
        // The document takes 7e9 parameters and 463.5 tokens, of which it makes 105.7 %. The model has 6.476e9 that are multiplied by, so that so many
        // operations are those of 496 tokens.
        let found = llama(496).finds("RL001").unwrap();
        assert_eq!(found.severity, Severity::Error);
        assert!(found.says.contains("MFU 105.7 %"), "{}", found.says);
        let found = llama(482).finds("RL001").unwrap();
        assert_eq!(found.severity, Severity::Error);
        // 98.6 %: not impossible, and yet.
        assert_eq!(llama(463).finds("RL001").unwrap().severity, Severity::Warning);
    }

    #[test]
    fn a_run_below_the_floor_is_not_doubted() {
        assert_eq!(llama(400).finds("RL001"), None);
        assert_eq!(Run::qwen().finds("RL001"), None);
    }

    #[test]
    fn decoding_beyond_bandwidth_is_an_error() {
        let fast = Run::qwen().with(|typed| typed.tpot = Some(ms(9.0)));
        let found = fast.finds("RL001").unwrap();
        assert!(
            found.severity == Severity::Error && found.says.contains("decode") && found.says.contains("MBU 108.0 %"),
            "{}",
            found.says
        );
    }

    #[test]
    fn beyond_measured_peaks_is_a_warning() {
        let run = Run::measured().with(|typed| typed.tpot = Some(ms(4.5)));
        let found = run.finds("RL001").unwrap();
        assert!(found.severity == Severity::Warning && found.says.contains("measured on this device"), "{found:?}");
        assert_eq!(Run::measured().finds("RL001"), None);
    }
}
