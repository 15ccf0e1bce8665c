//! RL015: clocks that were held down.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Kind;
use crate::diagnose::what_if::{is_arithmetic, scaled};
use crate::facts::Restraint;
use crate::observe::Quantity;
use crate::profile::{Ceiling, Flag, Point, Profile};
use crate::resource::Scope;
use crate::units::{Hertz, Seconds};

pub(super) const RULE: Rule = Rule {
    id: "RL015",
    name: "clocks held down",
    explain: "A device lowers its clock where power or heat demand it. Arithmetic slows down with it; main memory has a clock of its own. So prompts suffer, and decoding hardly does.

It warns where the tool that measured the run recorded how long power or heat held the clock down, from a twentieth of the run on, or recorded a clock below that of the profile's products. It is noted where the \
profile itself was measured with the clock held down, by its own clocks or by what the device's sensors said, so that the ceilings are lower than the device's highest clock would have them, and where a long load made the device fall below its ceilings (`rooflab probe --sustain`) by as much as is unexplained. What each \
is worth is the estimate with arithmetic at the other clock, or with the values of the long load.",
    check,
};

/// The share of a run, or of a clock, that is worth a word.
const SOME: f64 = 0.05;

fn check(case: &Case<'_>) -> Option<Found> {
    let found = recorded(case).or_else(|| of_profile(case)).or_else(|| sustained(case))?;
    let remedy =
        "a higher limit of power, better cooling, or fixed clocks, and a profile that was measured under the same ones";
    Some(found.attempt(remedy))
}

/// What the tool recorded of the run.
fn recorded(case: &Case<'_>) -> Option<Found> {
    let held = [(Quantity::PowerThrottled, "power"), (Quantity::HeatThrottled, "heat")].map(|(quantity, what)| {
        let (share, from) = case.stated(quantity)?;
        (share >= SOME).then_some((share, what, from))
    });
    let held: Vec<(f64, &str, String)> = held.into_iter().flatten().collect();
    let clock = case.stated(Quantity::Clock).zip(clock(case.inputs.profile));
    let slower = clock.filter(|((ran, _), measured)| *ran < (1.0 - SOME) * measured.get());
    let says = match (held.first(), &slower) {
        (Some((share, what, _)), _) => format!("{what} held the clock down for {:.0} % of the run", share * 100.0),
        (None, Some(((ran, _), measured))) => format!(
            "the device ran at {}, and its profile was measured at {measured}: {:.0} % less",
            Hertz(*ran),
            (1.0 - ran / measured.get()) * 100.0
        ),
        (None, None) => return None,
    };
    let mut found = Found::new(Severity::Warning, says);
    for (share, what, from) in held {
        found = found.number(format!("held down by {what}"), share, EvidenceUnit::Share, from);
    }
    if let Some(((ran, from), measured)) = slower {
        found = found.text("clock of the run", Hertz(ran).to_string(), from).text(
            "clock of the profile",
            measured.to_string(),
            format!("profile `{}`", case.inputs.profile.name),
        );
        let at_that_clock =
            scaled(
                case.inputs.profile,
                |ceiling, _| {
                    if is_arithmetic(ceiling.resource) { ran / measured.get() } else { 1.0 }
                },
            );
        let (of, lost) = change(case, &at_that_clock)?;
        found = found.worth(of, lost);
    }
    Some(found.decide("the clock during the run: `nvidia-smi -q -d CLOCK,PERFORMANCE`, `turbostat`"))
}

/// The highest clock of the profile's arithmetic.
fn clock(profile: &Profile) -> Option<Hertz> {
    let arithmetic =
        profile.ceilings.iter().filter(|ceiling| ceiling.scope == Scope::Device && is_arithmetic(ceiling.resource));
    arithmetic.flat_map(Ceiling::points).filter_map(|point| point.clock).reduce(|a, b| if b > a { b } else { a })
}

/// How much longer the phases take on another device, and of which that is the most.
fn change(case: &Case<'_>, other: &Profile) -> Option<(Kind, Seconds)> {
    if other == case.inputs.profile {
        return None;
    }
    let changes = case.phases.iter().filter_map(|phase| {
        let time = case.on(phase.kind, other)? - case.cost(phase.kind).ok()?.time;
        Some((phase.kind, time, time / phase.measured))
    });
    let most = changes.reduce(|a, b| if b.2.abs() > a.2.abs() { b } else { a });
    most.map(|(kind, time, _)| (kind, time))
}

/// The profile itself was measured while the clock was held down.
fn of_profile(case: &Case<'_>) -> Option<Found> {
    let profile = case.inputs.profile;
    let faster = scaled(profile, |ceiling, point| {
        let factor = missing(profile, point);
        factor.filter(|_| is_arithmetic(ceiling.resource)).unwrap_or(1.0)
    });
    let (of, longer) = change(case, &faster)?;
    let gained = Seconds(-longer.get());
    let phase = case.phase(of)?;
    if gained / phase.measured < MATTERS {
        return None;
    }
    let device = profile.ceilings.iter().filter(|ceiling| ceiling.scope == Scope::Device);
    let held: Vec<&Point> =
        device.flat_map(Ceiling::points).filter(|point| missing(profile, point).is_some()).collect();
    let reasons = held_by(held.iter().flat_map(|point| &point.flags));
    let from = format!("profile `{}`", profile.name);
    let says = match reasons.as_slice() {
        // That is how the device is, unless its limit was lowered.
        [Restraint::Power] => "the profile was measured at the limit of power, which held the clock down",
        _ => "the profile was measured while the clock was held down: its ceilings are too low",
    };
    let found = Found::new(Severity::Note, says)
        .number("points that are flagged", held.len() as f64, EvidenceUnit::Count, from.clone())
        .worth(of, gained)
        .decide("`rooflab probe` again, with nothing else running, and `rooflab profile diff` of both");
    let found = named(found, &reasons, &from);
    let conditions = [("governor", &profile.conditions.governor), ("limit", &profile.conditions.limit)];
    let stated = conditions.into_iter().filter_map(|(what, is)| Some((what, is.as_ref()?)));
    Some(stated.fold(found, |found, (what, is)| found.text(what, is.clone(), from.clone())))
}

/// How much faster a point's arithmetic were at the highest clock, where its flags say that the clock was held down.
fn missing(profile: &Profile, point: &Point) -> Option<f64> {
    let highest = || profile.conditions.gpu.as_ref().and_then(|gpu| gpu.highest_clock).or_else(|| clock(profile));
    let factor = |flag: &Flag| match flag {
        Flag::Throttled { clock, highest } => Some(highest.get() / clock.get()),
        Flag::Limited { .. } => Some(highest()?.get() / point.clock?.get()),
        _ => None,
    };
    let factors = point.flags.iter().filter_map(factor);
    factors.filter(|factor| factor.is_finite() && *factor > 1.0).reduce(f64::max)
}

/// What held the clock down, each reason once.
fn held_by<'a>(flags: impl Iterator<Item = &'a Flag>) -> Vec<Restraint> {
    let limited = |flag: &Flag| match flag {
        Flag::Limited { by, .. } => Some(*by),
        _ => None,
    };
    let found: Vec<Restraint> = flags.filter_map(limited).collect();
    Restraint::ALL.into_iter().filter(|by| found.contains(by)).collect()
}

/// A finding with the reasons that the sensors gave.
fn named(found: Found, reasons: &[Restraint], from: &str) -> Found {
    if reasons.is_empty() {
        return found;
    }
    let words: Vec<&str> = reasons.iter().map(|by| by.words()).collect();
    found.text("held down by", words.join(", "), from.to_owned())
}

/// A long load makes the device fall below its ceilings.
fn sustained(case: &Case<'_>) -> Option<Found> {
    let lasting =
        |point: &Point| point.steady.as_ref().map_or(1.0, |steady| (steady.value / point.value).clamp(0.01, 1.0));
    let later = scaled(
        case.inputs.profile,
        |ceiling, point| if is_arithmetic(ceiling.resource) { lasting(point) } else { 1.0 },
    );
    let (of, lost) = change(case, &later)?;
    let phase = case.phase(of)?;
    if lost / phase.measured < SOME || rest(phase) < lost {
        return None;
    }
    let from = format!("profile `{}`, values of the long load", case.inputs.profile.name);
    let steady =
        case.inputs.profile.ceilings.iter().flat_map(Ceiling::points).filter_map(|point| point.steady.as_ref());
    let reasons = held_by(steady.flat_map(|steady| &steady.flags));
    let says = "under a long load this device falls below its ceilings, by what fits into what is unexplained";
    let found = Found::new(Severity::Note, says)
        .number("unexplained", rest(phase).get(), EvidenceUnit::Seconds, "waterfall")
        .number("longer by", lost.get(), EvidenceUnit::Seconds, from.clone())
        .worth(of, lost)
        .decide("the clock during the run: `nvidia-smi -q -d CLOCK,PERFORMANCE`, `turbostat`");
    Some(named(found, &reasons, &from))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::{Severity, Worth};
    use crate::facts::{GpuConditions, Restraint};
    use crate::observe::{Distribution, Measured, Quantity};
    use crate::profile::{Flag, Outcome, Point, Steady};
    use crate::units::{Hertz, Seconds};

    /// Prompts on the measured H100, whose products were measured at 1.98 GHz.
    fn prompts(ttft: f64) -> Run {
        let mut run = Run::measured().with(|typed| (typed.tpot, typed.ttft) = (None, Some(ms(ttft))));
        products(&mut run, |point| point.clock = Some(Hertz(1.98e9)));
        run
    }

    fn products(run: &mut Run, change: impl Fn(&mut Point)) {
        for ceiling in &mut run.profile.ceilings {
            if let Outcome::Ok { points, .. } = &mut ceiling.outcome
                && super::is_arithmetic(ceiling.resource)
            {
                points.iter_mut().for_each(&change);
            }
        }
    }

    fn record(mut run: Run, quantity: Quantity, value: f64) -> Run {
        let at = Some("perf.json.telemetry_stats".to_owned());
        run.observed.metrics.insert(quantity, Measured::stated(quantity, Distribution::single(value), at));
        run
    }

    #[test]
    fn a_recorded_limit_or_a_lower_clock_is_a_warning() {
        let found = record(prompts(25.0), Quantity::PowerThrottled, 0.34).finds("RL015").unwrap();
        assert!(
            found.severity == Severity::Warning && found.says.contains("power held the clock down for 34 %"),
            "{found:?}"
        );
        let found = record(prompts(30.0), Quantity::Clock, 1.32e9).finds("RL015").unwrap();
        // Two thirds of the clock: half as long again.
        assert!(
            matches!(found.worth, Some(Worth::Time { up_to, .. }) if up_to.get() > 0.008 && up_to.get() < 0.012),
            "{found:?}"
        );
    }

    #[test]
    fn a_profile_of_a_throttled_device_is_noted() {
        let mut run = prompts(25.0);
        products(&mut run, |point| point.flags.push(Flag::Throttled { clock: Hertz(1.2e9), highest: Hertz(1.98e9) }));
        let found = run.finds("RL015").unwrap();
        assert!(found.severity == Severity::Note && found.says.contains("the profile was measured"), "{found:?}");
    }

    fn limited(by: Restraint) -> Flag {
        Flag::Limited { by, share: 0.9, power: None, power_limit: None }
    }

    #[test]
    fn a_profile_that_was_measured_at_a_limit_is_noted_with_the_limit() {
        let measured = |by| {
            let mut run = prompts(25.0);
            run.profile.conditions.gpu =
                Some(GpuConditions { highest_clock: Some(Hertz(1.98e9)), ..GpuConditions::default() });
            products(&mut run, |point| {
                point.clock = Some(Hertz(1.32e9));
                point.flags.push(limited(by));
            });
            run.finds("RL015").unwrap()
        };
        let found = measured(Restraint::Power);
        assert!(found.severity == Severity::Note && found.says.contains("limit of power"), "{found:?}");
        assert!(matches!(found.worth, Some(Worth::Time { up_to, .. }) if up_to.get() > 0.004), "{found:?}");
        let found = measured(Restraint::Heat);
        assert!(found.says.contains("too low") && format!("{found:?}").contains(Restraint::Heat.words()), "{found:?}");
        // At the highest clock a limit cost nothing.
        let mut run = prompts(25.0);
        products(&mut run, |point| point.flags.push(limited(Restraint::Power)));
        assert_eq!(run.finds("RL015"), None);
    }

    #[test]
    fn a_long_load_that_explains_the_rest_is_noted() {
        let mut run = prompts(30.0);
        products(&mut run, |point| {
            let flags = vec![limited(Restraint::Heat)];
            point.steady = Some(Steady { value: point.value * 0.8, after: Seconds(60.0), clock: None, flags });
        });
        let found = run.finds("RL015").unwrap();
        assert!(found.says.contains("under a long load"));
        assert!(format!("{found:?}").contains(Restraint::Heat.words()), "{found:?}");
        // Nothing is left that it could explain.
        assert_eq!(run.with(|typed| typed.ttft = Some(ms(20.5))).finds("RL015"), None);
    }

    #[test]
    fn a_clock_like_the_profiles_and_a_limit_that_was_hardly_met_are_no_finding() {
        assert_eq!(record(prompts(25.0), Quantity::Clock, 1.95e9).finds("RL015"), None);
        assert_eq!(record(prompts(25.0), Quantity::PowerThrottled, 0.01).finds("RL015"), None);
        assert_eq!(prompts(25.0).finds("RL015"), None);
    }
}
