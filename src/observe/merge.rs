//! Several observations of one case as one, and what they disagree on.

use super::contradiction::Contradiction;
use super::derive::apart;
use super::document::{Format, Load, Observation, Subject};
use super::text;
use crate::facts::DeviceKind;
use crate::units::Bytes;

/// How far two measurements of one quantity may be apart.
const SAME: f64 = 0.05;

/// Several observations as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// What they say together. Where they disagree, the first one's word.
    pub observation: Observation,
    /// What they disagree on, and what they say together that cannot be true.
    pub contradictions: Vec<Contradiction>,
}

/// A fact that two observations may both state.
trait Fact: Clone {
    fn agrees(&self, other: &Self) -> bool;
    fn shown(&self) -> String;
}

macro_rules! facts {
    ($($kind:ty: $agrees:expr, $shown:expr;)*) => {
        $(impl Fact for $kind {
            fn agrees(&self, other: &Self) -> bool {
                let agrees: fn(&$kind, &$kind) -> bool = $agrees;
                agrees(self, other)
            }

            fn shown(&self) -> String {
                let shown: fn(&$kind) -> String = $shown;
                shown(self)
            }
        })*
    };
}

facts! {
    String: |one, other| text::last_part(one).eq_ignore_ascii_case(text::last_part(other)), String::clone;
    Format: |one, other| one.given.eq_ignore_ascii_case(&other.given) || (one.dtype.is_some() && one.dtype == other.dtype),
        |format| format.given.clone();
    u64: |one, other| one == other, ToString::to_string;
    bool: |one, other| one == other, ToString::to_string;
    f64: |one, other| apart(*one, *other) < 0.01, ToString::to_string;
    Bytes: |one, other| apart(one.get(), other.get()) < 0.01, ToString::to_string;
    DeviceKind: |one, other| one == other, |kind| format!("{kind:?}").to_lowercase();
    super::document::Arrivals: |one, other| one == other, |arrivals| format!("{arrivals:?}").to_lowercase();
}

fn fact<T: Fact>(name: &'static str, ours: &mut Option<T>, theirs: Option<&T>, found: &mut Vec<Contradiction>) {
    match (ours.as_ref(), theirs) {
        (Some(first), Some(second)) if !first.agrees(second) => {
            found.push(Contradiction::Fact { name, first: first.shown(), second: second.shown() });
        }
        (None, Some(second)) => *ours = Some(second.clone()),
        _ => {}
    }
}

macro_rules! each_field {
    ($ours:expr, $theirs:expr, $found:expr, $type:ident { $($field:ident),* $(,)? }) => {
        // Naming every field makes the compiler ask for a new one.
        let $type { $($field),* } = $theirs;
        $(fact(stringify!($field), &mut $ours.$field, $field.as_ref(), $found);)*
    };
}

/// Merges observations of one case: what one does not say, another may. None of none.
#[must_use]
pub fn merge(observations: &[Observation]) -> Option<Merged> {
    let (first, rest) = observations.split_first()?;
    let mut merged = first.clone();
    let mut contradictions = Vec::new();
    merged.metrics.retain(|_, measured| measured.derived.is_none());
    for other in rest {
        add(&mut merged, other, &mut contradictions);
    }
    // What was derived from a part is derived anew from all.
    merged.derive();
    contradictions.extend(merged.contradictions());
    Some(Merged { observation: merged, contradictions })
}

fn add(merged: &mut Observation, other: &Observation, found: &mut Vec<Contradiction>) {
    merged.sources.extend(other.sources.iter().cloned());
    each_field!(
        merged.subject,
        &other.subject,
        found,
        Subject {
            model,
            model_kind,
            weight_bytes,
            parameters,
            device,
            device_kind,
            devices,
            device_memory,
            weights,
            kv,
            engine,
            engine_version,
        }
    );
    each_field!(
        merged.load,
        &other.load,
        found,
        Load {
            batch,
            concurrency,
            arrivals,
            requests,
            duration,
            prompt,
            generate,
            depth,
            prefill_chunk,
            batch_limit,
            tp,
            pp,
            ep,
            dp,
            draft_length,
            threads,
            mapped,
            device_layers,
            host_expert_layers,
            host_weights,
            host_kv,
        }
    );
    for (&quantity, measured) in other.metrics.iter().filter(|(_, measured)| measured.derived.is_none()) {
        let Some(ours) = merged.metrics.get_mut(&quantity) else {
            merged.metrics.insert(quantity, measured.clone());
            continue;
        };
        match ours.values.typical().zip(measured.values.typical()) {
            Some((first, second)) if apart(second, first) > SAME => {
                found.push(Contradiction::Number { quantity, first, second });
            }
            _ => ours.values.fill_from(&measured.values),
        }
    }
    merged.kernels.extend(other.kernels.iter().cloned());
    merged.collectives.extend(other.collectives.iter().cloned());
    merged.copies.extend(other.copies.iter().cloned());
    merged.rates.extend(other.rates.iter().cloned());
    for caveat in &other.caveats {
        merged.note(caveat.clone());
    }
}

/// Observations that a case is looked for among: rows of one case stand near each other, and a file may have very many rows.
const NEAR: usize = 64;

/// Puts together what is of one case: rows of one tool about the same subject that measure different things, such as llama-bench's `pp512` and `tg128`.
#[must_use]
pub fn cases(observations: &[Observation]) -> Vec<Merged> {
    let mut groups: Vec<Vec<Observation>> = Vec::new();
    for observation in observations {
        match groups.iter_mut().rev().take(NEAR).find(|group| belongs(group, observation)) {
            Some(group) => group.push(observation.clone()),
            None => groups.push(vec![observation.clone()]),
        }
    }
    groups.iter().filter_map(|group| merge(group)).collect()
}

/// Whether an observation is of the same tool and subject as others, adds to them, and contradicts none.
fn belongs(group: &[Observation], observation: &Observation) -> bool {
    let tool = |run: &Observation| run.sources.first().map(|source| source.tool);
    let stated = |run: &Observation| run.metrics.values().filter(|measured| measured.derived.is_none()).count();
    let is_near = |other: &Observation| other.subject == observation.subject && tool(other) == tool(observation);
    if stated(observation) == 0 || !group.first().is_some_and(is_near) {
        return false;
    }
    let all = [group, std::slice::from_ref(observation)].concat();
    let quantities: usize = all.iter().map(stated).sum();
    merge(&all).is_some_and(|merged| merged.contradictions.is_empty() && stated(&merged.observation) == quantities)
}
