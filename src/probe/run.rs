//! Carries out a plan: measures step after step, visits what stands for a ceiling a second time, and keeps a valid profile at every moment.

use jiff::Timestamp;

use super::again::{self, Visit, highest_clocks};
use super::catalogue::Family;
use super::ceiling::{Shapes, ceilings, fitted};
use super::contest::measure;
use super::effort::Settings;
use super::measure::{THROTTLED, measure_again};
use super::plan::{Plan, Step};
use super::point::{Measured, point};
use crate::backend::{BackendError, Device, Stopwatch};
use crate::facts::{Library, LibraryName};
use crate::profile::{Builder, Ceiling, Flag, Imported, Instrument, Outcome, Point, Profile, Source, Stop};
use crate::resource::{Key, Overhead, Resource};
use crate::units::Seconds;
use crate::workload::{Spot, Work};

/// What the caller knows and the library does not ask for.
#[derive(Clone, Debug)]
pub struct Context {
    /// The name the profile is stored under.
    pub name: String,
    /// When measuring began.
    pub created: Timestamp,
    /// Which build of rooflab measures.
    pub source: Source,
    /// What is known of the device from other tools, and stays known.
    pub imported: Vec<Imported>,
}

/// Is told how a run goes on.
pub trait Observer {
    /// A step begins.
    fn started(&mut self, index: usize, step: &Step);
    /// One of its workloads has been measured.
    fn measured(&mut self, step: &Step, workload: usize);
    /// A step ended; the profile holds all that is known so far.
    fn finished(&mut self, index: usize, profile: &Profile);
    /// The second visits go on: so many of so many are done.
    fn revisited(&mut self, done: usize, of: usize);
}

/// A run is late when it has taken this many times what was meant to be done by now, and some seconds more; then a point is given at most so many times
/// what it takes when nothing disturbs it. The later, the less, so that it ends near its plan on any machine.
const LATE: [(f64, f64); 2] = [(1.3, 1.0), (1.15, 2.0)];
const GRACE: Seconds = Seconds(3.0);
/// Clean samples that an interrupted point must have to be kept.
const WORTH_KEEPING: usize = 3;

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
    let mut session = Session { plan, now, interrupted, start, planned: Seconds(0.0), visits: Vec::new() };
    let mut builder = begin(device, plan, context);
    let mut shapes = Shapes::default();
    for (index, step) in plan.steps.iter().enumerate() {
        if interrupted() {
            for &key in &step.keys {
                builder.put(Ceiling::new(key, Outcome::Skipped { reason: "interrupted".to_owned() }));
            }
            continue;
        }
        observer.started(index, step);
        let points = session.measure_step(device, step, observer);
        for ceiling in ceilings(plan, step, points, device.identity(), &mut shapes) {
            builder.put(ceiling);
        }
        builder.observe(device.observed(), (session.now)() - start);
        observer.finished(index, builder.profile());
        session.planned = session.planned + step.estimate;
    }
    session.visit_again(device, &mut builder, observer);
    refit(&mut builder);
    note_empty_launch(&mut builder);
    if !interrupted() {
        builder.complete();
    }
    flag_throttled(&mut builder);
    builder.sort();
    builder.observe(device.observed(), (session.now)() - start);
    builder.profile().clone()
}

/// The profile before its first ceiling: who, under which conditions, with which instrument.
fn begin(device: &mut dyn Device, plan: &Plan, context: Context) -> Builder {
    let conditions = device.conditions();
    let instrument = Instrument {
        timer: device.timer(),
        empty_launch: None,
        clock: device.clock(),
        effort: plan.request.effort,
        goal: plan.settings.goal,
        elapsed: Seconds(0.0),
        libraries: libraries(device, plan),
    };
    let identity = device.identity().clone();
    let mut builder = Builder::new(context.name, context.created, context.source, identity, conditions, instrument);
    builder.take_over(context.imported);
    for &(key, why) in &plan.left_out {
        let reason = why.reason(plan.request.effort);
        builder.put(Ceiling::new(key, Outcome::Skipped { reason }));
    }
    builder
}

/// The maker's libraries that a plan has use for, or why they are not used.
fn libraries(device: &dyn Device, plan: &Plan) -> Vec<Library> {
    let mut names: Vec<LibraryName> = plan.steps.iter().filter_map(|step| step.probe.family.vendor_library()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter_map(|name| device.vendor_library(name)).collect()
}

/// A run under way.
struct Session<'run> {
    plan: &'run Plan,
    now: Stopwatch,
    interrupted: &'run dyn Fn() -> bool,
    /// When the run began, and how long the steps that are done were meant to take.
    start: Seconds,
    planned: Seconds,
    /// Everything that was measured, for the second visits.
    visits: Vec<Visit>,
}

impl Session<'_> {
    /// Measures the workloads of a step in order. The first failure ends it; what was measured before it is dropped with it, because a
    /// curve with a hole would be read as a whole one.
    fn measure_step(
        &mut self,
        device: &mut dyn Device,
        step: &Step,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Measured>, BackendError> {
        let mut points = Vec::new();
        let sustain = self.plan.request.sustain.filter(|_| matches!(step.probe.family, Family::MultiplyAdd { .. }));
        for (index, &workload) in step.workloads.iter().enumerate() {
            let mut kernel = device.prepare(&workload)?;
            let settings = self.in_time(step.settings, step.estimate);
            let measurement = measure(kernel.as_mut(), &settings, sustain, &self.now, self.interrupted)?;
            if measurement.stop == Stop::Interrupted && measurement.clean.len() < WORTH_KEEPING {
                break;
            }
            let variant = kernel.variants()[measurement.variant].clone();
            let limit = kernel.limit(measurement.variant);
            let visit = Visit { key: step.key(), settings: step.settings, workload, measurement, variant, limit };
            points.extend(self.point(&visit));
            self.visits.push(visit);
            observer.measured(step, index);
            if (self.interrupted)() {
                break;
            }
        }
        Ok(points)
    }

    /// Some settings, in haste when the run is late, given what is meant to be done next.
    fn in_time(&self, settings: Settings, next: Seconds) -> Settings {
        let spent = (self.now)() - self.start - GRACE;
        let late = LATE.into_iter().find(|(late, _)| spent.get() > late * (self.planned + next).get());
        late.map_or(settings, |(_, times)| settings.hurried(times))
    }

    fn point(&self, visit: &Visit) -> Option<Measured> {
        point(self.plan, visit.settings.goal, &visit.workload, &visit.measurement, visit.variant.clone(), visit.limit)
    }

    /// Measures a second time whatever stands for a ceiling (its only point, or the last of its curve), and then what was measured under worse conditions than the rest. Minutes
    /// apart, a machine that is shared or warms up shows another face; a ceiling that is printed without a flag is one that came back.
    fn visit_again(&mut self, device: &mut dyn Device, builder: &mut Builder, observer: &mut dyn Observer) {
        let stands_alone: Vec<(Key, Spot)> = builder
            .profile()
            .ceilings
            .iter()
            .filter_map(|ceiling| Some((whole(ceiling.key()), ceiling.representative()?.spot())))
            .collect();
        let first = again::representative(&self.visits, &stands_alone);
        self.visit_all_again(device, &first, self.plan.second_visits, None, (builder, observer));
        self.planned = self.planned + self.plan.second_visits;
        let (then, planned) = again::doubtful(&self.visits, &first, self.planned);
        let until = (self.now)() + planned;
        self.visit_all_again(device, &then, planned, Some(until), (builder, observer));
    }

    /// Measures some workloads a second time, which is meant to take some time, and may have to end in time.
    fn visit_all_again(
        &mut self,
        device: &mut dyn Device,
        again: &[usize],
        planned: Seconds,
        until: Option<Seconds>,
        (builder, observer): (&mut Builder, &mut dyn Observer),
    ) {
        for (done, &index) in again.iter().enumerate() {
            if until.is_some_and(|until| (self.now)().get() > until.get()) {
                return;
            }
            if (self.interrupted)() {
                return self.leave(builder, &again[done..], "interrupted");
            }
            observer.revisited(done, again.len());
            let visit = &self.visits[index];
            let settings = self.in_time(visit.settings, planned * ((done + 1) as f64 / again.len() as f64));
            let later = device.prepare(&visit.workload).and_then(|mut kernel| {
                // A library need not offer the same algorithms in the same order.
                let Some(variant) = kernel.variants().iter().position(|name| *name == visit.variant) else {
                    return Err(BackendError::unsupported(format!("`{}` was not offered again", visit.variant)));
                };
                measure_again(kernel.as_mut(), variant, &settings, &self.now, self.interrupted)
            });
            match later {
                Ok(later) if later.stop == Stop::Interrupted => {
                    return self.leave(builder, &again[done..], "interrupted");
                }
                Ok(later) => {
                    let visit = &mut self.visits[index];
                    visit.measurement = visit.measurement.clone().joined(later);
                    let (key, place) = (visit.key, visit.workload.spot());
                    if let Some(Measured { point, .. }) = self.point(&self.visits[index]) {
                        replace(builder, key, place, &point);
                    }
                }
                Err(error) => {
                    let (key, place) = (self.visits[index].key, self.visits[index].workload.spot());
                    if matches!(error, BackendError::WrongResult(_)) {
                        fail(builder, key, place, &error);
                    } else {
                        not_revisited(builder, key, place, &error.to_string());
                    }
                    if matches!(error, BackendError::Lost(_)) {
                        return self.leave(builder, &again[done + 1..], &error.to_string());
                    }
                }
            }
        }
    }

    /// Notes that second visits did not take place.
    fn leave(&self, builder: &mut Builder, visits: &[usize], reason: &str) {
        for &index in visits {
            not_revisited(builder, self.visits[index].key, self.visits[index].workload.spot(), reason);
        }
    }
}

/// The key of the curve that a level's ceiling belongs to.
fn whole(key: Key) -> Key {
    Key { resource: key.resource.at_level(None), scope: key.scope }
}

/// Puts a point in the place of the one measured before, in the curve and in the level it stands for.
fn replace(builder: &mut Builder, key: Key, place: Spot, point: &Point) {
    builder.revise(|ceiling| {
        if whole(ceiling.key()) != key {
            return;
        }
        let Outcome::Ok { points, .. } = &mut ceiling.outcome else { return };
        for old in points.iter_mut().filter(|old| old.spot() == place) {
            // What follows from the size alone still holds.
            let kept = old.flags.iter().filter(|flag| matches!(flag, Flag::SmallWorkingSet { .. })).cloned();
            let flags = point.flags.iter().cloned().chain(kept).collect();
            *old = Point { flags, ..point.clone() };
        }
    });
}

/// Flags a point that was only visited once.
fn not_revisited(builder: &mut Builder, key: Key, place: Spot, reason: &str) {
    builder.revise(|ceiling| {
        if whole(ceiling.key()) != key {
            return;
        }
        let Outcome::Ok { points, .. } = &mut ceiling.outcome else { return };
        for point in points.iter_mut().filter(|point| point.spot() == place) {
            point.flags.push(Flag::VisitedOnce { reason: reason.to_owned() });
        }
    });
}

/// What computes something else at the second visit is not to be believed at the first.
fn fail(builder: &mut Builder, key: Key, place: Spot, error: &BackendError) {
    builder.revise(|ceiling| {
        if whole(ceiling.key()) == key && ceiling.points().iter().any(|point| point.spot() == place) {
            ceiling.outcome = Outcome::Failed { reason: format!("on the second visit: {error}") };
        }
    });
}

/// Formulas through points that second visits have changed.
fn refit(builder: &mut Builder) {
    builder.revise(|ceiling| {
        if let Outcome::Ok { points, fit: Some(fit), .. } = &mut ceiling.outcome
            && let Some(again) = fitted(points)
        {
            *fit = again;
        }
    });
}

fn note_empty_launch(builder: &mut Builder) {
    let launch = |ceiling: &&Ceiling| ceiling.resource == Resource::Overhead { of: Overhead::Launch };
    let time = builder.profile().ceilings.iter().find(launch).and_then(Ceiling::single).map(|point| point.value);
    if let Some(time) = time {
        builder.empty_launch(Seconds(time));
    }
}

/// Flags points whose clock was below the highest of the run with as many lanes.
fn flag_throttled(builder: &mut Builder) {
    let points = builder.profile().ceilings.iter().flat_map(Ceiling::points);
    let highest = highest_clocks(points.filter_map(|point| Some((point.lanes, point.clock?))));
    builder.revise(|ceiling| {
        let Outcome::Ok { points, .. } = &mut ceiling.outcome else { return };
        for point in points {
            let Some((clock, &highest)) = point.clock.zip(highest.get(&point.lanes)) else { continue };
            if clock.get() < THROTTLED * highest.get() {
                point.flags.push(Flag::Throttled { clock, highest });
            }
        }
    });
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
    /// What an iteration is stated to do.
    pub work: Work,
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
                let (bytes, work) = (workload.footprint(), workload.work());
                results.push(Verification { key: step.key(), variant, bytes, work, result });
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
