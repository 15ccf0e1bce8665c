//! The one measuring loop: calibrate, choose the fastest variant and verify it, warm up, sample until the median is known well
//! enough or the time is spent, and check that twice the work takes twice the time.

use super::contest::Beside;
use super::effort::Settings;
use crate::backend::{BackendError, Disturbance, Glance, Kernel, Sample};
use crate::facts::Implementer;
use crate::profile::Stop;
use crate::stats::{self, Modes, Summary};
use crate::units::{Hertz, Seconds};

/// What was measured of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The variant that was fastest.
    pub variant: usize,
    /// Whose it is.
    pub by: Implementer,
    /// How many devices took part, where all of a group did.
    pub devices: Option<u32>,
    /// What became of the other implementer's, where there might be one.
    pub beside: Option<Beside>,
    /// Iterations in each sample at the end.
    pub iterations: u64,
    /// Seconds per iteration of the clean samples, in the order they were taken.
    pub clean: Vec<f64>,
    /// Seconds per iteration of the disturbed samples.
    pub disturbed: Vec<f64>,
    /// How many of those the device gave no valid time for.
    pub untimed: usize,
    /// Median time of each visit, when the workload was visited more than once.
    pub visits: Vec<f64>,
    /// Clocks during the clean samples.
    pub clocks: Vec<Hertz>,
    /// What the device's sensors said during the clean samples, where they were looked at.
    pub glances: Vec<Glance>,
    /// Why sampling ended.
    pub stop: Stop,
    /// Time of a sample with twice the iterations, over twice the time of one.
    pub linearity: Option<f64>,
    /// What was measured at the end of a long run.
    pub steady: Option<Sustained>,
}

/// What was measured in the last third of a long run at full load.
#[derive(Clone, Debug, PartialEq)]
pub struct Sustained {
    /// Median time of an iteration, in seconds.
    pub time: f64,
    /// Median clock.
    pub clock: Option<Hertz>,
    /// What the device's sensors said meanwhile, where they were looked at.
    pub glances: Vec<Glance>,
    /// Length of the whole run.
    pub after: Seconds,
}

impl Measurement {
    /// The samples that statistics rest on: the clean ones, or all when there are none.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        if self.clean.is_empty() { &self.disturbed } else { &self.clean }
    }

    /// Number of samples.
    #[must_use]
    pub fn total(&self) -> usize {
        self.clean.len() + self.disturbed.len()
    }

    /// What its samples say of the time of an iteration, and its two modes where there are two: then the more frequent one stands for the time. None without samples.
    #[must_use]
    pub fn summary(&self) -> Option<(Summary, Option<Modes>)> {
        let mut summary = Summary::of(self.times())?;
        if self.clean.len() < FEWEST {
            // Too few for an interval: then all that was seen, disturbed or not, bounds the value.
            let everything: Vec<f64> = self.clean.iter().chain(&self.disturbed).copied().collect();
            let all = Summary::of(&everything)?;
            summary.confidence = (all.min, all.max);
        }
        let modes = stats::two_modes(self.times());
        if let Some(modes) = modes {
            // The middle of two modes is a value that nobody ever sees.
            summary.median = if modes.low_share >= 0.5 { modes.low } else { modes.high };
            summary.confidence = (modes.low, modes.high);
        }
        Some((summary, modes))
    }

    /// Median clock of the samples that were undisturbed.
    #[must_use]
    pub fn clock(&self) -> Option<Hertz> {
        let clocks: Vec<f64> = self.clocks.iter().map(|clock| clock.get()).collect();
        stats::median(&clocks).map(Hertz)
    }

    /// This measurement with the samples of a later visit. Those of a visit at a clock well below the other's, or that took longer, count as disturbed: something held the device back,
    /// and did not the other time.
    #[must_use]
    pub fn joined(mut self, mut later: Self) -> Self {
        self.visits = [&self, &later].into_iter().filter_map(|visit| stats::median(visit.times())).collect();
        if self.was_held_back(&later) {
            self.set_aside();
        } else if later.was_held_back(&self) {
            later.set_aside();
        }
        self.clean.extend(later.clean);
        self.disturbed.extend(later.disturbed);
        self.untimed += later.untimed;
        self.clocks.extend(later.clocks);
        self.glances.extend(later.glances);
        self.iterations = later.iterations;
        self.stop = if self.stop == Stop::Goal { later.stop } else { self.stop };
        self
    }

    /// Whether two visits gave the same time. None where there were not two.
    #[must_use]
    pub fn came_back(&self) -> Option<bool> {
        let &[first, second] = self.visits.as_slice() else { return None };
        Some((second / first - 1.0).abs() <= UNREPEATABLE)
    }

    /// Whether another visit shows that something held the device back in this one.
    fn was_held_back(&self, other: &Self) -> bool {
        let below = |(clock, other): (Hertz, Hertz)| clock.get() < THROTTLED * other.get();
        match self.clock().zip(other.clock()) {
            Some((clock, other)) if below((clock, other)) => return true,
            Some((clock, other)) if below((other, clock)) => return false,
            _ => {}
        }
        // A few quick samples do not speak against many slow ones.
        let times = stats::median(self.times()).zip(stats::median(&other.clean));
        other.clean.len() >= FEWEST && times.is_some_and(|(time, other)| time > other * (1.0 + UNREPEATABLE))
    }

    /// Counts all samples as disturbed.
    fn set_aside(&mut self) {
        self.disturbed.append(&mut self.clean);
        self.clocks.clear();
        self.glances.clear();
    }
}

/// Growth of the number of iterations from one try to the next, at most.
const GROWTH: f64 = 20.0;
/// More iterations than any sample needs: a kernel that takes no time has not run.
const MOST_ITERATIONS: u64 = 1 << 40;
/// Runs that may be disturbed before the least of them has to do.
const TRIES: usize = 10;
/// Times the best that a variant took once, and is not tried again.
const BEHIND: f64 = 1.5;
/// Samples that agree within this are warm.
const WARM: f64 = 0.01;
/// Share of undisturbed samples below which a machine is crowded: samples are made shorter, and the value is flagged.
pub(super) const CROWDED: f64 = 0.25;
/// Lower clock than another under the same load that counts as throttled.
pub(super) const THROTTLED: f64 = 0.95;
/// Seconds of a single iteration beside which everything that is paid once per sample is nothing.
const LONG: f64 = 20e-3;
/// Deviation from proportionality that deserves a second look, and a flag if it stays.
pub(super) const NONLINEAR: f64 = 0.05;
/// Difference between two visits of a workload that is flagged.
const UNREPEATABLE: f64 = 0.03;
/// Fewest samples that have a 95 % confidence interval.
pub(super) const FEWEST: usize = 6;
/// Times the budget that a kernel is given which takes long by itself.
const PATIENCE: f64 = 4.0;
/// Samples kept at most.
const MOST_SAMPLES: usize = 2000;

/// Whether so few of all samples are undisturbed that the machine is crowded.
pub(super) fn is_crowded(clean: usize, total: usize) -> bool {
    clean < FEWEST || (clean as f64) < CROWDED * total as f64
}

/// Measures some variants of a kernel: the fastest of them.
///
/// # Errors
/// When verification fails or the device does.
pub(super) fn measure_variants(
    kernel: &mut dyn Kernel,
    variants: &[usize],
    settings: &Settings,
    sustain: Option<Seconds>,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<Measurement, BackendError> {
    let first = variants.first().copied().unwrap_or(0);
    // No variant may be timed without data. Of several on data that is there, the one that stands is verified, and that is enough.
    let chosen_first = kernel.is_filled() && variants.len() > 1;
    if !chosen_first {
        kernel.verify(first)?;
    }
    let mut iterations = calibrate(kernel, first, settings, interrupted)?;
    let variant = fastest(kernel, variants, iterations, settings, now, interrupted)?.unwrap_or(first);
    if chosen_first || variant != first {
        kernel.verify(variant)?;
    }
    if variant != first {
        iterations = calibrate(kernel, variant, settings, interrupted)?;
    }
    let mut run = Run { kernel, variant, iterations };
    warm_up(&mut run, settings, now, interrupted)?;
    let mut measurement = sample(&mut run, settings, now, interrupted)?;
    if measurement.stop == Stop::Goal {
        measurement.linearity = linearity(&mut run, &measurement)?;
    }
    if let Some(duration) = sustain.filter(|_| !interrupted()) {
        measurement.steady = steady(&mut run, duration, now, interrupted)?;
    }
    Ok(measurement)
}

/// Measures a kernel again, with the variant that was fastest the first time.
///
/// # Errors
/// When verification fails or the device does.
pub(super) fn measure_again(
    kernel: &mut dyn Kernel,
    variant: usize,
    settings: &Settings,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<Measurement, BackendError> {
    kernel.verify(variant)?;
    let iterations = calibrate(kernel, variant, settings, interrupted)?;
    let mut run = Run { kernel, variant, iterations };
    warm_up(&mut run, settings, now, interrupted)?;
    sample(&mut run, settings, now, interrupted)
}

/// A kernel with the variant and the number of iterations that were settled on.
struct Run<'kernel> {
    kernel: &'kernel mut dyn Kernel,
    variant: usize,
    iterations: u64,
}

impl Run<'_> {
    fn sample(&mut self) -> Result<Sample, BackendError> {
        self.kernel.run(self.variant, self.iterations)
    }

    fn per_iteration(&self, sample: &Sample) -> f64 {
        sample.elapsed.get() / self.iterations as f64
    }
}

/// Iterations that make a sample of the wanted length. A disturbed run says nothing of that and is tried again. An interrupt ends it with as many as were come to.
fn calibrate(
    kernel: &mut dyn Kernel,
    variant: usize,
    settings: &Settings,
    interrupted: &dyn Fn() -> bool,
) -> Result<u64, BackendError> {
    let wanted = settings.sample.get();
    let mut iterations = 1_u64;
    loop {
        if interrupted() {
            return Ok(iterations);
        }
        let elapsed = least_time(kernel, variant, iterations, interrupted)?;
        if elapsed >= 0.8 * wanted {
            // The first long run may have been slow to start; what follows is calibrated by it all the same.
            return Ok(((iterations as f64 * wanted / elapsed).round() as u64).max(1));
        }
        if iterations >= MOST_ITERATIONS {
            return Err(BackendError::WrongResult(format!("{iterations} iterations took no time")));
        }
        let growth = if elapsed > 0.0 { (wanted / elapsed).clamp(1.5, GROWTH) } else { GROWTH };
        iterations = (iterations as f64 * growth).ceil() as u64;
    }
}

/// Whether a lane was off its core: the disturbance that shorter samples escape.
const fn preempted(sample: &Sample) -> bool {
    matches!(sample.disturbance, Some(Disturbance::Preempted { .. }))
}

/// The time of an undisturbed run; of a few disturbed ones, the least.
fn least_time(
    kernel: &mut dyn Kernel,
    variant: usize,
    iterations: u64,
    interrupted: &dyn Fn() -> bool,
) -> Result<f64, BackendError> {
    let mut least = f64::INFINITY;
    for _ in 0..TRIES {
        let sample = kernel.run(variant, iterations)?;
        least = least.min(sample.elapsed.get());
        // Lanes that start a little apart make no difference to how many iterations are needed. A long run is preempted more often than not, by little.
        if !preempted(&sample) || sample.elapsed.get() > LONG || interrupted() {
            break;
        }
    }
    Ok(least)
}

/// The variant with the least time, tried in turns; none where there is no choice or no time for it.
fn fastest(
    kernel: &mut dyn Kernel,
    variants: &[usize],
    iterations: u64,
    settings: &Settings,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<usize>, BackendError> {
    if variants.len() < 2 {
        return Ok(None);
    }
    let mut times = vec![Vec::new(); variants.len()];
    let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    let start = now();
    for round in 0..settings.rounds {
        if round > 0 && (now() - start).get() > settings.budget.get() / 2.0 {
            // Runs this long leave little to chance.
            break;
        }
        for (place, &variant) in variants.iter().enumerate() {
            if interrupted() {
                return Ok(None);
            }
            let best = times.iter().map(|times| least(times)).fold(f64::INFINITY, f64::min);
            // What was far behind once is not tried again.
            if least(&times[place]) <= BEHIND * best || round == 0 {
                times[place].push(least_time(kernel, variant, iterations, interrupted)?);
            }
        }
    }
    let place = (0..variants.len()).min_by(|&a, &b| least(&times[a]).total_cmp(&least(&times[b])));
    Ok(place.map(|place| variants[place]))
}

fn warm_up(
    run: &mut Run,
    settings: &Settings,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), BackendError> {
    let start = now();
    let mut last = [f64::INFINITY, 0.0, 0.0];
    while (now() - start).get() < settings.warm_up.get() && !interrupted() {
        last.rotate_left(1);
        last[2] = run.sample()?.elapsed.get();
        let (low, high) = last.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &t| (low.min(t), high.max(t)));
        if low > 0.0 && high <= low * (1.0 + WARM) {
            break;
        }
    }
    Ok(())
}

fn sample(
    run: &mut Run,
    settings: &Settings,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<Measurement, BackendError> {
    let start = now();
    let (mut clean, mut disturbed, mut clocks): (Vec<f64>, Vec<f64>, Vec<Hertz>) = Default::default();
    let mut glances = Vec::new();
    let (mut corrections, mut untimed) = (0, 0);
    let mut since_shortened = (0_usize, 0_usize); // not preempted, total
    let stop = loop {
        let sample = run.sample()?;
        let is_short = sample.elapsed.get() < settings.shortest_sample.get() / 2.0;
        if is_short && corrections < TRIES && !interrupted() {
            // Calibrated on a crowded machine: too short to be told from the cost of timing it. What was taken so far is dropped.
            corrections += 1;
            run.iterations = (run.iterations * 2).max(calibrate(run.kernel, run.variant, settings, interrupted)?);
            (clean, disturbed, untimed, clocks, glances, since_shortened) = Default::default();
            continue;
        }
        let time = run.per_iteration(&sample);
        since_shortened.1 += 1;
        since_shortened.0 += usize::from(!preempted(&sample));
        if sample.disturbance.is_none() {
            clean.push(time);
            clocks.extend(sample.clock);
            glances.extend(sample.glance);
        } else {
            disturbed.push(time);
            untimed += usize::from(sample.disturbance == Some(Disturbance::Untimed));
        }
        let known = || Summary::of(&clean).is_some_and(|summary| summary.uncertainty() <= settings.goal);
        if clean.len() >= settings.least && known() {
            break Stop::Goal;
        }
        let spent = (now() - start).get();
        // A kernel that takes long by itself is given more time, for as many samples as have an interval.
        let enough = run.iterations > 1 || clean.len() >= FEWEST || spent >= PATIENCE * settings.budget.get();
        if (spent >= settings.budget.get() && enough) || clean.len() + disturbed.len() >= MOST_SAMPLES {
            break Stop::Budget;
        }
        if interrupted() {
            break Stop::Interrupted;
        }
        let crowded = (since_shortened.0 as f64) < CROWDED * since_shortened.1 as f64;
        let shortenable = run.iterations > 1 && time * run.iterations as f64 / 2.0 > settings.shortest_sample.get();
        if since_shortened.1 >= 8 && crowded && shortenable {
            // Others use the cores: shorter samples fit between their turns.
            run.iterations /= 2;
            since_shortened = (0, 0);
        }
    };
    Ok(Measurement {
        variant: run.variant,
        by: run.kernel.implementer(run.variant),
        devices: run.kernel.devices(),
        beside: None,
        iterations: run.iterations,
        clean,
        disturbed,
        untimed,
        visits: Vec::new(),
        clocks,
        glances,
        stop,
        linearity: None,
        steady: None,
    })
}

/// Twice the iterations, up to three times until they take twice the time.
fn linearity(run: &mut Run, measurement: &Measurement) -> Result<Option<f64>, BackendError> {
    let Some(median) = stats::median(measurement.times()) else { return Ok(None) };
    if measurement.iterations == 1 && median > LONG {
        return Ok(None);
    }
    let mut closest: Option<f64> = None;
    for _ in 0..3 {
        let sample = run.kernel.run(run.variant, 2 * run.iterations)?;
        if sample.disturbance.is_some() {
            continue;
        }
        let ratio = sample.elapsed.get() / (2 * run.iterations) as f64 / median;
        if closest.is_none_or(|closest| (ratio - 1.0).abs() < (closest - 1.0).abs()) {
            closest = Some(ratio);
        }
        if (ratio - 1.0).abs() <= NONLINEAR {
            break;
        }
    }
    Ok(closest)
}

/// Keeps the load up and gives what was seen in the last third.
fn steady(
    run: &mut Run,
    duration: Seconds,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<Sustained>, BackendError> {
    let start = now();
    let (mut times, mut clocks, mut glances) = (Vec::new(), Vec::new(), Vec::new());
    while (now() - start).get() < duration.get() && !interrupted() {
        let sample = run.sample()?;
        let late = (now() - start).get() > duration.get() * 2.0 / 3.0;
        if late && sample.disturbance.is_none() {
            times.push(run.per_iteration(&sample));
            clocks.extend(sample.clock.map(Hertz::get));
            glances.extend(sample.glance);
        }
    }
    let clock = stats::median(&clocks).map(Hertz);
    Ok(stats::median(&times).map(|time| Sustained { time, clock, glances, after: now() - start }))
}

#[cfg(test)]
mod tests {
    use super::super::contest::measure;
    use super::*;
    use crate::backend::mock::{BEHAVIOURS, Behaviour, MockBackend};
    use crate::backend::{Backend, InPlace};
    use crate::facts::Restraint;
    use crate::profile::Effort;
    use crate::resource::{Access, StreamOp};
    use crate::workload::{Kind, Workload};

    fn measured(behaviour: Behaviour, settings: &Settings) -> Measurement {
        let index = BEHAVIOURS.iter().position(|(other, _)| *other == behaviour).unwrap();
        let mut device = MockBackend.open(index, &InPlace).unwrap();
        let now = device.stopwatch();
        let kind = Kind::Stream { access: Access::plain(StreamOp::Read), elements: 1 << 20, parts: 1 };
        let workload = Workload { kind, lanes: 4 };
        let mut kernel = device.prepare(&workload).unwrap();
        measure(kernel.as_mut(), settings, None, &now, &|| false).unwrap()
    }

    #[test]
    fn a_steady_device_reaches_the_goal_with_the_faster_variant() {
        let settings = Settings::of(Effort::Normal);
        let measurement = measured(Behaviour::Steady, &settings);
        assert_eq!((measurement.stop, measurement.variant), (Stop::Goal, 1));
        assert_eq!(measurement.clean.len(), settings.least);
        let summary = Summary::of(measurement.times()).unwrap();
        // 16 MiB at the model's 200 GB/s of L3.
        assert!((summary.median / (16_777_216.0 / 200e9) - 1.0).abs() < 0.005, "{summary:?}");
        assert!((measurement.linearity.unwrap() - 1.0).abs() < 0.01);
        let sample = summary.median * measurement.iterations as f64;
        assert!((sample / settings.sample.get() - 1.0).abs() < 0.2, "samples of {sample} s");
    }

    #[test]
    fn a_noisy_device_spends_the_budget() {
        let measurement = measured(Behaviour::Noisy, &Settings::of(Effort::Thorough));
        assert_eq!(measurement.stop, Stop::Budget);
        assert_eq!(measurement.linearity, None);
    }

    #[test]
    fn disturbed_samples_are_set_aside_and_samples_become_shorter() {
        let settings = Settings::of(Effort::Normal);
        let measurement = measured(Behaviour::Crowded, &settings);
        let clean = measurement.clean.len();
        assert!(clean >= settings.least && measurement.total() >= 8 * clean);
        let median = stats::median(&measurement.clean).unwrap();
        assert!((median / (16_777_216.0 / 200e9) - 1.0).abs() < 0.005, "the clean median is that of the steady device");
        assert!(median * (measurement.iterations as f64) < settings.sample.get() / 4.0);
    }

    /// A kernel of 1 µs whose first runs are all preempted for 4 ms, as on a crowded machine.
    struct SlowStart {
        variants: Vec<String>,
        runs: u32,
    }

    impl Kernel for SlowStart {
        fn variants(&self) -> &[String] {
            &self.variants
        }

        fn verify(&mut self, _: usize) -> Result<(), BackendError> {
            Ok(())
        }

        fn run(&mut self, _: usize, iterations: u64) -> Result<Sample, BackendError> {
            self.runs += 1;
            let preempted = self.runs < 12;
            // Every run pays 50 ns to be timed.
            let elapsed = 50e-9 + iterations as f64 * 1e-6 + if preempted { 4e-3 } else { 0.0 };
            let disturbance = preempted.then_some(Disturbance::Preempted { on_core: 0.1 });
            Ok(Sample { elapsed: Seconds(elapsed), clock: None, disturbance, glance: None })
        }

        fn limit(&self, _: usize) -> Option<crate::backend::CycleLimit> {
            None
        }
    }

    #[test]
    fn a_crowded_start_does_not_make_samples_too_short() {
        let mut kernel = SlowStart { variants: vec!["only".to_owned()], runs: 0 };
        let settings = Settings::of(Effort::Normal);
        let clock = std::cell::Cell::new(0.0);
        let now = || {
            clock.set(clock.get() + 1e-3);
            Seconds(clock.get())
        };
        let measurement = measure(&mut kernel, &settings, None, &now, &|| false).unwrap();
        assert!(measurement.iterations >= 250, "samples of {} iterations", measurement.iterations);
        assert!((stats::median(&measurement.clean).unwrap() / 1e-6 - 1.0).abs() < 1e-3);
    }

    /// A kernel whose device runs at half its clock after 10 s, for want of power.
    struct Tiring {
        variants: Vec<String>,
        clock: std::rc::Rc<std::cell::Cell<f64>>,
    }

    impl Kernel for Tiring {
        fn variants(&self) -> &[String] {
            &self.variants
        }

        fn verify(&mut self, _: usize) -> Result<(), BackendError> {
            Ok(())
        }

        fn run(&mut self, _: usize, iterations: u64) -> Result<Sample, BackendError> {
            let tired = self.clock.get() > 10.0;
            let each = if tired { 2e-6 } else { 1e-6 };
            let elapsed = Seconds(iterations as f64 * each);
            self.clock.set(self.clock.get() + elapsed.get());
            let restraints = tired.then_some(Restraint::Power).into_iter().collect();
            let glance = Glance { restraints, power: Some(700.0), power_limit: Some(700.0) };
            let clock = Some(Hertz(if tired { 1e9 } else { 2e9 }));
            Ok(Sample { elapsed, clock, disturbance: None, glance: Some(glance) })
        }

        fn limit(&self, _: usize) -> Option<crate::backend::CycleLimit> {
            None
        }
    }

    #[test]
    fn a_long_run_tells_what_is_left_at_its_end_and_what_the_sensors_said() {
        let clock = std::rc::Rc::<std::cell::Cell<f64>>::default();
        let mut kernel = Tiring { variants: vec!["only".to_owned()], clock: std::rc::Rc::clone(&clock) };
        let now = || Seconds(clock.get());
        let settings = Settings::of(Effort::Normal);
        let measurement = measure(&mut kernel, &settings, Some(Seconds(30.0)), &now, &|| false).unwrap();
        assert!((stats::median(&measurement.clean).unwrap() / 1e-6 - 1.0).abs() < 1e-3);
        assert!(measurement.glances.iter().all(|glance| !glance.restraints.contains(Restraint::Power)));
        let steady = measurement.steady.unwrap();
        assert!((steady.time / 2e-6 - 1.0).abs() < 1e-3 && steady.clock == Some(Hertz(1e9)), "{steady:?}");
        assert!(steady.after.get() >= 30.0 && !steady.glances.is_empty());
        assert!(steady.glances.iter().all(|glance| glance.restraints.contains(Restraint::Power)));
    }

    #[test]
    fn an_interrupt_ends_sampling_at_once() {
        let mut device = MockBackend.open(0, &InPlace).unwrap();
        let now = device.stopwatch();
        let kind = Kind::Stream { access: Access::plain(StreamOp::Read), elements: 1 << 20, parts: 1 };
        let mut kernel = device.prepare(&Workload { kind, lanes: 4 }).unwrap();
        let measurement = measure(kernel.as_mut(), &Settings::of(Effort::Normal), None, &now, &|| true).unwrap();
        assert_eq!((measurement.stop, measurement.total()), (Stop::Interrupted, 1));
    }
}
