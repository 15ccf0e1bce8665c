//! RL018: a processor's memory that is slower than its sockets allow.

use super::{Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::diagnose::waterfall::Cause;
use crate::diagnose::what_if::{READS, value};
use crate::facts::DeviceKind;
use crate::resource::Scope;

pub(super) const RULE: Rule = Rule {
    id: "RL018",
    name: "memory with one channel, or far away",
    explain: "A processor reads main memory over several channels at once, each with modules of its own. With one module in a desktop, half of the channels are empty, and decoding takes twice as long. On machines with several nodes of memory (NUMA), what lies at \
another node comes over a link between sockets, at a half of the bandwidth or less; pages lie where they were first written, which for weights is often a single thread's node.

It is noted where measured reads are less than 55 % of what the maker states for all channels, and where all cores together read no faster than one core does and no more than one channel gives. And it is noted where a run on many cores reached \
between a third and two thirds of the bandwidth that was measured, and as much of its time is unexplained: weights at another node would do that, other causes as well. Guests are passed over, since they do not see channels. The modules decide, and a run that is bound to one node.",
    check,
};

/// The share of the maker's bandwidth below which channels are missing; what is reached of all of them is 70 to 90 %.
const MISSING: f64 = 0.55;
/// How much faster than one core all of them are, where they are no faster.
const NO_FASTER: f64 = 1.15;
/// Cores from which on that means something.
const SEVERAL: u32 = 4;
/// What one channel of 64 bits gives at the most: DDR5 at 6.4 GT/s.
const ONE_CHANNEL: f64 = 51.2e9;
/// Cores from which on a machine may have several nodes.
const MANY: u32 = 16;
/// The share of the bandwidth that is reached when memory is far, and that of the time which is unexplained then.
const FAR: std::ops::RangeInclusive<f64> = 1.0 / 3.0..=2.0 / 3.0;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Decode).filter(|phase| phase.floor.is_some_and(|floor| floor.is_memory_bound()))?;
    if case.inputs.profile.device.kind != DeviceKind::Cpu {
        return None;
    }
    // Guests do not see channels, nor where their memory lies.
    if case.inputs.profile.conditions.virtualisation.is_some() {
        return None;
    }
    let all = value(case.inputs.profile, READS, Scope::Device)?;
    channels(case, phase, all).or_else(|| remote(case, phase, all))
}

fn channels(case: &Case<'_>, phase: &Phase, all: f64) -> Option<Found> {
    let profile = case.inputs.profile;
    let from = format!("profile `{}`, `memory.dram.read`", profile.name);
    let claim = std::iter::once(profile).chain(case.inputs.datasheet).find_map(|sheet| sheet.claim(READS));
    let found = match claim {
        Some(claim) if all < MISSING * claim.value => {
            let says = format!(
                "main memory is read at {:.0} % of what the maker states: channels may be empty",
                all / claim.value * 100.0
            );
            let found = Found::new(Severity::Note, says).number(
                "the maker's figure",
                claim.value,
                EvidenceUnit::BytesPerSecond,
                "datasheet",
            );
            match phase.spent_on(Cause::Ceilings) {
                Some(spent) => found.worth(Kind::Decode, spent.time),
                None => found,
            }
        }
        Some(_) => return None,
        None => {
            let one = value(profile, READS, Scope::Core)?;
            if profile.device.cores < SEVERAL || all > NO_FASTER * one || all > ONE_CHANNEL {
                return None;
            }
            Found::new(
                Severity::Note,
                "all cores together read memory no faster than one does: it may have a single channel",
            )
            .number("one core reads", one, EvidenceUnit::BytesPerSecond, from.clone())
        }
    };
    Some(
        found
            .number("all cores read", all, EvidenceUnit::BytesPerSecond, from)
            .attempt("modules in all channels, at the rate that the processor supports")
            .decide("`dmidecode -t memory`: the modules, their sockets and their rate"),
    )
}

fn remote(case: &Case<'_>, phase: &Phase, all: f64) -> Option<Found> {
    let device = &case.inputs.profile.device;
    let unexplained = rest(phase);
    let rate = phase.floor.as_ref()?.bytes.get() / phase.measured.get();
    let reached = rate / all;
    let threads = case.inputs.run.load.threads;
    let is_narrow = threads.is_some_and(|threads| threads < u64::from(device.cores));
    if device.cores < MANY || is_narrow || !FAR.contains(&reached) || !FAR.contains(&(unexplained / phase.measured)) {
        return None;
    }
    let says = format!(
        "the run reached {:.0} % of the bandwidth that was measured: its weights may lie at another node of memory",
        reached * 100.0
    );
    Some(
        Found::new(Severity::Note, says)
            .number("the run read at", rate, EvidenceUnit::BytesPerSecond, phase.from.clone())
            .number("measured with memory near each core", all, EvidenceUnit::BytesPerSecond, format!("profile `{}`, `memory.dram.read`", case.inputs.profile.name))
            .worth(Kind::Decode, unexplained)
            .attempt("weights spread over all nodes, threads bound to their cores (llama.cpp: `--numa distribute`; `numactl --interleave=all`)")
            .decide("`numactl --hardware`: whether there are several nodes; `numastat -p` during the run: where its pages lie"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::profile::Ceiling;
    use crate::resource::Scope;

    /// The desktop with another bandwidth of all cores.
    fn reading(bandwidth: f64, tpot: f64) -> Run {
        let mut run = Run::processor().with(|typed| typed.tpot = Some(ms(tpot)));
        let reads =
            |ceiling: &Ceiling| ceiling.scope == Scope::Device && ceiling.resource.to_string().ends_with(".read");
        run.profile.ceilings.retain(|ceiling| !reads(ceiling));
        run.ceilings(&[("memory.read", &[(1e5, 2e12), (1e9, bandwidth)]), ("memory.dram.read", &[(1e9, bandwidth)])]);
        run
    }

    #[test]
    fn half_of_the_makers_bandwidth_is_half_of_the_channels() {
        let found = reading(3.6e10, 30.0).finds("RL018").unwrap();
        assert!(found.says.contains("43 % of what the maker states") && found.worth.is_some(), "{found:?}");
    }

    #[test]
    fn without_a_datasheet_one_core_tells() {
        let mut run = reading(3.4e10, 30.0);
        run.profile.datasheet.clear();
        assert!(run.finds("RL018").unwrap().says.contains("no faster than one does"));
        run.profile.conditions.virtualisation = Some("KVM".to_owned());
        assert_eq!(run.finds("RL018"), None);
    }

    #[test]
    fn half_of_the_measured_bandwidth_may_be_memory_far_away() {
        // 988 MB at 64 GB/s take 15.5 ms.
        let mut half = Run::processor().with(|typed| typed.tpot = Some(ms(32.0)));
        let found = half.finds("RL018").unwrap();
        assert!(found.says.contains("reached 49 %") && found.says.contains("another node"), "{}", found.says);
        assert!(found.decide.unwrap().contains("numactl"));
        half.profile.conditions.virtualisation = Some("KVM".to_owned());
        assert_eq!(half.finds("RL018"), None);
    }

    #[test]
    fn time_that_is_lost_beside_slow_products_is_not_that_of_memory() {
        // Products with a vector take 49 ms of the 90, which are a sixth of the bandwidth.
        let mut slow = Run::processor().with(|typed| typed.tpot = Some(ms(90.0)));
        slow.ceilings(&[("gemv.bf16", &[(1e5, 2e10), (1e9, 2e10)])]);
        assert_eq!(slow.finds("RL018"), None);
    }

    #[test]
    fn a_desktop_with_all_its_modules_and_a_gpu_are_no_finding() {
        assert_eq!(Run::processor().finds("RL018"), None);
        assert_eq!(
            Run::processor().with(|typed| (typed.tpot, typed.threads) = (Some(ms(32.0)), Some(4))).finds("RL018"),
            None
        );
        assert_eq!(Run::measured().with(|typed| typed.tpot = Some(ms(11.0))).finds("RL018"), None);
    }
}
