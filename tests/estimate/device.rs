//! Devices for tests: one that was measured everywhere and follows formulas exactly, and one of which only the maker's figures are known.

use rooflab::dtype::DType;
use rooflab::facts::{Conditions, DeviceKind, Identity, Implementer, Observed};
use rooflab::fit::{PNorm, fit};
use rooflab::profile::*;
use rooflab::resource::{Key, Resource, Scope};
use rooflab::units::Seconds;
use rooflab::workload::{Shape, Work};

/// Operations per second, bytes per second and seconds of a device that follows formulas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Laws {
    pub(super) peak: f64,
    pub(super) bandwidth: f64,
    pub(super) floor: f64,
    pub(super) launch: f64,
}

pub(super) const LAWS: Laws = Laws { peak: 400e12, bandwidth: 2e12, floor: 4e-6, launch: 1e-6 };

impl Laws {
    /// The rate at which bytes go through a kernel: slow where there are few.
    fn stream(&self, bytes: f64) -> f64 {
        bytes / (bytes / self.bandwidth + self.floor)
    }

    /// A profile of it, with every ceiling that a dense model asks for.
    pub(super) fn measured(&self, kind: DeviceKind) -> Profile {
        let bytes = || (0..80).map(|step| 1e4 * 1.2_f64.powi(step));
        let stream = || curve(bytes().map(|bytes| (bytes, self.stream(bytes))));
        let flat = |value: f64| curve([128.0, 1e5].map(|tokens| (tokens, value)));
        let far =
            Outcome::Ok { points: vec![exact(Some(1e10), self.bandwidth)], limit: None, plateau: None, fit: None };
        let single = |value| Outcome::Ok { points: vec![exact(None, value)], limit: None, plateau: None, fit: None };
        profile(
            kind,
            vec![
                ("memory.read", curve(bytes().map(|bytes| (bytes, self.bandwidth)))),
                ("memory.dram.read", far),
                ("memory.copy", stream()),
                ("compute.matrix.f16.f32", single(self.peak)),
                ("compute.vector.f32", single(self.peak / 16.0)),
                ("gemm.f16.f32", self.products()),
                ("gemv.f16", stream()),
                ("gemv.int4_g128.f16", stream()),
                ("attention.decode.f16", flat(0.9 * self.bandwidth)),
                ("attention.prefill.f16", flat(0.5 * self.peak)),
                ("rowwise.rmsnorm.f16", stream()),
                ("overhead.launch", single(self.launch)),
            ],
            Vec::new(),
        )
    }

    /// Products that follow the formula.
    fn products(&self) -> Outcome {
        let model = PNorm { peak: self.peak, bandwidth: self.bandwidth, p: 2.5, floor: Seconds(self.floor) };
        let sizes = [512, 4096, 32_768];
        let grid = [1, 16, 256, 4096].into_iter().flat_map(|m| sizes.into_iter().map(move |n| (m, n)));
        let shapes: Vec<Shape> = grid.flat_map(|(m, n)| sizes.into_iter().map(move |k| Shape { m, n, k })).collect();
        let time = |shape: &Shape| {
            let work = shape.work(DType::F16, DType::F32);
            (work, model.time(&work))
        };
        let measured: Vec<(Work, Seconds)> = shapes.iter().map(time).collect();
        let points = shapes
            .iter()
            .zip(&measured)
            .map(|(&shape, (work, time))| Point { shape: Some(shape), ..exact(None, work.ops as f64 / time.get()) });
        Outcome::Ok { points: points.collect(), limit: None, plateau: None, fit: fit(&measured) }
    }

    /// The same by its maker's figures alone.
    pub(super) fn claimed(&self) -> Profile {
        let claim = |resource: &str, value| {
            let resource: Resource = resource.parse().unwrap();
            Claim { resource, value, unit: resource.unit(), source: "the maker's page".to_owned() }
        };
        let claims = vec![claim("memory.dram.read", self.bandwidth), claim("compute.matrix.f16.f32", self.peak)];
        profile(DeviceKind::Gpu, Vec::new(), claims)
    }
}

/// A value that is known by a formula.
fn exact(at: Option<f64>, value: f64) -> Point {
    Point {
        at,
        shape: None,
        value,
        best: value,
        p10: value,
        p90: value,
        mad: 0.0,
        confidence: [value, value],
        samples: Samples { clean: 10, total: 10 },
        iterations: 1,
        time: Seconds(1.0),
        work: Work::default(),
        lanes: 1,
        devices: None,
        variant: "exact".to_owned(),
        by: Implementer::Open,
        beside: None,
        clock: None,
        stop: Stop::Goal,
        flags: Vec::new(),
        steady: None,
        raw: None,
    }
}

pub(super) fn curve(points: impl IntoIterator<Item = (f64, f64)>) -> Outcome {
    let points = points.into_iter().map(|(at, value)| exact(Some(at), value)).collect();
    Outcome::Ok { points, limit: None, plateau: None, fit: None }
}

pub(super) fn profile(kind: DeviceKind, ceilings: Vec<(&str, Outcome)>, datasheet: Vec<Claim>) -> Profile {
    let key = |text: &str| Key { resource: text.parse().unwrap(), scope: Scope::Device };
    Profile {
        header: Header {
            schema: SCHEMA.to_owned(),
            rooflab: Source { version: "0".to_owned(), commit: None, target: None },
            created: jiff::Timestamp::UNIX_EPOCH,
            complete: true,
        },
        name: "test".to_owned(),
        device: Identity {
            id: "mock:0".to_owned(),
            backend: "mock".to_owned(),
            kind,
            name: "test".to_owned(),
            vendor: None,
            architecture: None,
            isa: None,
            features: Vec::new(),
            cores: 1,
            logical_processors: None,
            caches: Vec::new(),
            cache_line: 64,
            memory: 0,
            driver: None,
            bus: None,
        },
        conditions: Conditions::default(),
        instrument: None,
        observed: Observed::default(),
        ceilings: ceilings.into_iter().map(|(text, outcome)| Ceiling::new(key(text), outcome)).collect(),
        datasheet,
        imported: Vec::new(),
        matches: Vec::new(),
    }
}
