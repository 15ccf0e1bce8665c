//! Whose implementation is faster: where a workload has implementations of rooflab's own and of the maker's library, the best of each is measured, and the faster one stands for
//! the ceiling.

use super::effort::Settings;
use super::measure::{Measurement, measure_variants};
use crate::backend::{BackendError, Kernel};
use crate::facts::Implementer;
use crate::profile::Stop;
use crate::units::Seconds;

/// What became of the other implementer.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// Whose it is.
    pub by: Implementer,
    /// Its best implementation, or why it has none.
    pub result: Result<Rival, String>,
}

/// An implementation that is not the one that stands for the ceiling.
#[derive(Clone, Debug, PartialEq)]
pub struct Rival {
    /// What it is called.
    pub variant: String,
    /// What was measured of it.
    pub measurement: Box<Measurement>,
}

/// Measures a kernel: the best of rooflab's own implementations, and then the best of the maker's, if there are both.
///
/// # Errors
/// When verification of rooflab's own fails, or the device does. What a maker's library does wrong is told beside rooflab's own, if there is such a one.
pub fn measure(
    kernel: &mut dyn Kernel,
    settings: &Settings,
    sustain: Option<Seconds>,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<Measurement, BackendError> {
    let count = kernel.variants().len();
    let (own, vendors): (Vec<usize>, Vec<usize>) =
        (0..count).partition(|&variant| kernel.implementer(variant).is_open());
    let without = kernel.without().map(|(by, reason)| Beside { by, result: Err(reason.to_owned()) });
    let mut measured = |variants: &[usize]| measure_variants(kernel, variants, settings, sustain, now, interrupted);
    if own.is_empty() || vendors.is_empty() {
        let by = if own.is_empty() { Implementer::Vendor } else { Implementer::Open };
        let only = if own.is_empty() { vendors } else { own };
        return Ok(Measurement { by, beside: without, ..measured(&only)? });
    }
    let first = measured(&own)?;
    if first.stop == Stop::Interrupted {
        return Ok(first);
    }
    let second = match measured(&vendors) {
        Ok(second) => Measurement { by: Implementer::Vendor, ..second },
        Err(error @ BackendError::Lost(_)) => return Err(error),
        Err(error) => {
            let beside = Beside { by: Implementer::Vendor, result: Err(error.to_string()) };
            return Ok(Measurement { beside: Some(beside), ..first });
        }
    };
    let time = |measurement: &Measurement| measurement.summary().map_or(f64::INFINITY, |(summary, _)| summary.median);
    // Half a visit is no measurement of the other.
    if second.stop == Stop::Interrupted {
        return Ok(first);
    }
    let (winner, loser) = if time(&second) < time(&first) { (second, first) } else { (first, second) };
    let variant = kernel.variants()[loser.variant].clone();
    let beside = Beside { by: loser.by, result: Ok(Rival { variant, measurement: Box::new(loser) }) };
    Ok(Measurement { beside: Some(beside), ..winner })
}

/// Measures one implementation, whichever is the fastest.
///
/// # Errors
/// When verification fails or the device does.
pub fn measure_variant(
    kernel: &mut dyn Kernel,
    variant: usize,
    settings: &Settings,
    now: &dyn Fn() -> Seconds,
    interrupted: &dyn Fn() -> bool,
) -> Result<Measurement, BackendError> {
    measure_variants(kernel, &[variant], settings, None, now, interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{CycleLimit, Sample};
    use crate::profile::Effort;

    /// A kernel whose variants take so many microseconds each; NaN is one that computes something wrong.
    struct Given {
        names: Vec<String>,
        own: Vec<f64>,
        vendors: Vec<f64>,
        without: Option<(Implementer, &'static str)>,
    }

    impl Given {
        fn new(own: &[f64], vendors: &[f64]) -> Self {
            let names = own.iter().map(|time| format!("own {time}"));
            let names = names.chain(vendors.iter().map(|time| format!("theirs {time}"))).collect();
            Self { names, own: own.to_vec(), vendors: vendors.to_vec(), without: None }
        }

        fn time(&self, variant: usize) -> f64 {
            self.own.iter().chain(&self.vendors).copied().nth(variant).unwrap()
        }

        fn measured(mut self) -> Result<Measurement, BackendError> {
            let clock = std::cell::Cell::new(0.0);
            let now = || {
                clock.set(clock.get() + 1e-3);
                Seconds(clock.get())
            };
            measure(&mut self, &Settings::of(Effort::Quick), None, &now, &|| false)
        }
    }

    impl Kernel for Given {
        fn variants(&self) -> &[String] {
            &self.names
        }

        fn implementer(&self, variant: usize) -> Implementer {
            if variant < self.own.len() { Implementer::Open } else { Implementer::Vendor }
        }

        fn without(&self) -> Option<(Implementer, &str)> {
            self.without
        }

        fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
            if self.time(variant).is_nan() { Err(BackendError::WrongResult("word 3".to_owned())) } else { Ok(()) }
        }

        fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
            let elapsed = Seconds(iterations as f64 * self.time(variant) * 1e-6);
            Ok(Sample { elapsed, clock: None, disturbance: None, glance: None })
        }

        fn limit(&self, _: usize) -> Option<CycleLimit> {
            None
        }
    }

    fn rival(measurement: &Measurement) -> (Implementer, &str) {
        let beside = measurement.beside.as_ref().unwrap();
        (beside.by, &beside.result.as_ref().unwrap().variant)
    }

    #[test]
    fn the_faster_stands_and_the_best_of_the_other_is_beside_it() {
        let vendors = Given::new(&[5.0, 4.0], &[3.0, 2.0, 6.0]).measured().unwrap();
        assert_eq!((vendors.by, vendors.variant), (Implementer::Vendor, 3));
        assert_eq!(rival(&vendors), (Implementer::Open, "own 4"));
        let own = Given::new(&[5.0, 1.0], &[3.0, 2.0]).measured().unwrap();
        assert_eq!((own.by, own.variant), (Implementer::Open, 1));
        assert_eq!(rival(&own), (Implementer::Vendor, "theirs 2"));
        let found = own.beside.unwrap().result.unwrap().measurement.summary().unwrap().0.median;
        assert!((found / 2e-6 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_library_that_computes_wrong_is_told_and_a_kernel_that_does_is_an_error() {
        let own = Given::new(&[5.0], &[f64::NAN]).measured().unwrap();
        assert_eq!((own.by, own.variant), (Implementer::Open, 0));
        let beside = own.beside.unwrap();
        assert_eq!((beside.by, beside.result), (Implementer::Vendor, Err("wrong result: word 3".to_owned())));
        assert!(matches!(Given::new(&[f64::NAN], &[1.0]).measured(), Err(BackendError::WrongResult(_))));
        assert!(matches!(Given::new(&[], &[f64::NAN]).measured(), Err(BackendError::WrongResult(_))));
    }

    #[test]
    fn who_is_alone_says_why() {
        let alone = Given::new(&[], &[3.0]).measured().unwrap();
        assert_eq!((alone.by, alone.beside), (Implementer::Vendor, None));
        let without = Given { without: Some((Implementer::Vendor, "no algorithm")), ..Given::new(&[3.0], &[]) };
        let own = without.measured().unwrap();
        let beside = Beside { by: Implementer::Vendor, result: Err("no algorithm".to_owned()) };
        assert_eq!((own.by, own.beside), (Implementer::Open, Some(beside)));
    }
}
