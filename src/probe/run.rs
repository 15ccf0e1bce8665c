//! Carries out a plan: measures step after step, turns measurements into ceilings, and keeps a valid profile at every moment.

use jiff::Timestamp;

use super::catalogue::Family;
use super::ceiling::{Shapes, ceilings};
use super::measure::measure;
use super::plan::{Plan, Step};
use super::point::{Measured, point};
use crate::backend::{BackendError, Device};
use crate::profile::{Builder, Ceiling, Flag, Instrument, Outcome, Profile, Source, Stop};
use crate::resource::{Key, Overhead, Resource};
use crate::units::Seconds;

/// What the caller knows and the library does not ask for.
#[derive(Clone, Debug)]
pub struct Context {
    /// The name the profile is stored under.
    pub name: String,
    /// When measuring began.
    pub created: Timestamp,
    /// Which build of rooflab measures.
    pub source: Source,
}

/// Is told how a run goes on.
pub trait Observer {
    /// A step begins.
    fn started(&mut self, index: usize, step: &Step);
    /// One of its workloads has been measured.
    fn measured(&mut self, step: &Step, workload: usize);
    /// A step ended; the profile holds all that is known so far.
    fn finished(&mut self, index: usize, profile: &Profile);
}

/// Lower clock than the highest of the run that counts as throttled.
const THROTTLED: f64 = 0.95;

/// Runs a plan. An interrupt ends it early; what was measured stays.
pub fn run(
    device: &mut dyn Device,
    plan: &Plan,
    context: Context,
    observer: &mut dyn Observer,
    interrupted: &dyn Fn() -> bool,
) -> Profile {
    let now = device.stopwatch();
    let start = now();
    let conditions = device.conditions();
    let instrument = Instrument {
        timer: device.timer(),
        empty_launch: None,
        clock: device.clock(),
        effort: plan.request.effort,
        goal: plan.settings.goal,
        elapsed: Seconds(0.0),
    };
    let identity = device.identity().clone();
    let mut builder = Builder::new(context.name, context.created, context.source, identity, conditions, instrument);
    for &key in &plan.left_out {
        let reason = format!("effort {} leaves it out", plan.request.effort.word());
        builder.put(Ceiling::new(key, Outcome::Skipped { reason }));
    }
    let mut shapes = Shapes::default();
    let mut all_done = true;
    for (index, step) in plan.steps.iter().enumerate() {
        if interrupted() {
            all_done = false;
            for &key in &step.keys {
                builder.put(Ceiling::new(key, Outcome::Skipped { reason: "interrupted".to_owned() }));
            }
            continue;
        }
        observer.started(index, step);
        let points = points(device, plan, step, observer, &now, interrupted);
        for ceiling in ceilings(plan, step, points, device.identity(), &mut shapes) {
            if let (Resource::Overhead { of: Overhead::Launch }, Some(point)) = (ceiling.resource, ceiling.single()) {
                builder.empty_launch(Seconds(point.value));
            }
            builder.put(ceiling);
        }
        builder.observe(device.observed(), now() - start);
        observer.finished(index, builder.profile());
    }
    if all_done && !interrupted() {
        builder.complete();
    }
    flag_throttled(&mut builder);
    builder.sort();
    builder.observe(device.observed(), now() - start);
    builder.profile().clone()
}

/// The outcome of a verification without timing.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// What was verified.
    pub key: Key,
    /// The implementation.
    pub variant: String,
    /// Bytes of its working set.
    pub bytes: u64,
    /// Whether it computed what its reference computes.
    pub result: Result<(), BackendError>,
}

/// Verifies every variant of every workload of a plan, without timing any.
pub fn verify(device: &mut dyn Device, plan: &Plan, interrupted: &dyn Fn() -> bool) -> Vec<Verification> {
    let mut results = Vec::new();
    for step in &plan.steps {
        for workload in &step.workloads {
            if interrupted() {
                return results;
            }
            let mut note = |variant: String, result| {
                results.push(Verification { key: step.key(), variant, bytes: workload.footprint(), result });
            };
            match device.prepare(workload) {
                Ok(mut kernel) => {
                    for (index, variant) in kernel.variants().to_vec().into_iter().enumerate() {
                        note(variant, kernel.verify(index));
                    }
                }
                Err(error) => note(String::new(), Err(error)),
            }
        }
    }
    results
}

/// Measures the workloads of a step in order. The first failure ends it; what was measured before it is dropped with it, because a
/// curve with a hole would be read as a whole one.
fn points(
    device: &mut dyn Device,
    plan: &Plan,
    step: &Step,
    observer: &mut dyn Observer,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<Vec<Measured>, BackendError> {
    let mut points = Vec::new();
    let sustain = plan.request.sustain.filter(|_| matches!(step.probe.family, Family::MultiplyAdd { .. }));
    for (index, workload) in step.workloads.iter().enumerate() {
        let mut kernel = device.prepare(workload)?;
        let measurement = measure(kernel.as_mut(), &plan.settings, sustain, now, interrupted)?;
        if measurement.stop == Stop::Interrupted && measurement.clean < 3 {
            break;
        }
        let variant = kernel.variants()[measurement.variant].clone();
        let limit = kernel.limit(measurement.variant);
        points.extend(point(plan, workload, &measurement, variant, limit));
        observer.measured(step, index);
        if interrupted() {
            break;
        }
    }
    Ok(points)
}

/// Flags points whose clock was below the highest of the run.
fn flag_throttled(builder: &mut Builder) {
    let profile = builder.profile();
    let points = profile.ceilings.iter().flat_map(Ceiling::points);
    let seen = points.filter_map(|point| point.clock).chain(profile.instrument.clock.map(|clock| clock.median));
    let Some(highest) = seen.max_by(|a, b| a.get().total_cmp(&b.get())) else { return };
    builder.revise(|ceiling| {
        let Outcome::Ok { points, .. } = &mut ceiling.outcome else { return };
        for point in points {
            if let Some(clock) = point.clock.filter(|clock| clock.get() < THROTTLED * highest.get()) {
                point.flags.push(Flag::Throttled { clock, highest });
            }
        }
    });
}
