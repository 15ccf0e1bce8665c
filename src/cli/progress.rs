//! A line on standard error that says what is being measured and how long it will still take. It is only redrawn between points, never
//! while something is timed.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rooflab::probe::{Plan, Step};

/// A share of something, as a bar with words beside it.
pub(crate) struct Share {
    bar: ProgressBar,
}

impl Share {
    /// A bar on the terminal, or nowhere.
    pub(crate) fn new(visible: bool) -> Self {
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(1000), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:24.dim} {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar }
    }

    /// Draws how much is done.
    pub(crate) fn draw(&self, share: f64, words: &str) {
        self.bar.set_position((share * 1000.0) as u64);
        self.bar.set_message(words.to_owned());
        self.bar.tick();
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// The progress of a plan.
pub(crate) struct Progress {
    share: Share,
    /// Estimated seconds of the steps before each step.
    before: Vec<f64>,
    total: f64,
    second_visits: f64,
    current: usize,
}

impl Progress {
    /// Progress on the terminal, or nowhere.
    pub(crate) fn new(plan: &Plan, visible: bool) -> Self {
        let before = plan
            .steps
            .iter()
            .scan(0.0, |sum, step| {
                let before = *sum;
                *sum += step.estimate.get();
                Some(before)
            })
            .collect();
        Self {
            share: Share::new(visible),
            before,
            total: plan.estimate().get(),
            second_visits: plan.second_visits.get(),
            current: 0,
        }
    }

    /// A step begins.
    pub(crate) fn step(&mut self, index: usize, step: &Step) {
        self.current = index;
        self.show(step, 0);
    }

    /// A point of the step was measured.
    pub(crate) fn point(&mut self, step: &Step, workload: usize) {
        self.show(step, workload + 1);
    }

    /// The second visits go on.
    pub(crate) fn second_visit(&mut self, done: usize, of: usize) {
        let share = done as f64 / of.max(1) as f64;
        let reached = self.total - self.second_visits * (1.0 - share);
        self.draw(reached, &format!("second visits {done}/{of}"));
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.share.end();
    }

    fn show(&self, step: &Step, done: usize) {
        let count = step.workloads.len().max(1);
        let reached = self.before.get(self.current).unwrap_or(&0.0) + step.estimate.get() * done as f64 / count as f64;
        self.draw(reached, &format!("{} {done}/{count}", step.key()));
    }

    fn draw(&self, reached: f64, what: &str) {
        let share = if self.total > 0.0 { (reached / self.total).min(1.0) } else { 1.0 };
        let elapsed = self.share.bar.elapsed().as_secs_f64();
        // The estimate is of a quiet machine; how much slower this run is, its beginning tells.
        let pace = if reached > 3.0 { elapsed / reached } else { 1.0 };
        let left = (self.total - reached) * pace.max(0.2);
        self.share.draw(share, &format!("{what} · about {left:.0} s left"));
    }
}
