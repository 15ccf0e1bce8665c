//! Runs for tests: the published one of a 300 TFLOP/s NPU, others like it on datasheets, and one on a device that was measured.

use jiff::Timestamp;

use super::{Diagnosis, Found, Inputs, diagnose, scenario};
use crate::dtype::DType;
use crate::estimate::link::Link;
use crate::estimate::{Scenario, Subject};
use crate::graph::Routing;
use crate::model::{KvFormat, Precision, WeightFormat, find_preset};
use crate::observe::{Observation, Typed};
use crate::profile::{Ceiling, Outcome, Point, Profile, Source, bundled_named};
use crate::resource::{Key, Scope};
use crate::units::{Hertz, Seconds};

/// A run in the making.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) model: &'static str,
    pub(super) profile: Profile,
    pub(super) typed: Typed,
    pub(super) observed: Observation,
    pub(super) kv: KvFormat,
    pub(super) otherwise: Scenario,
    pub(super) link: Option<Link>,
    pub(super) host_link: Option<Link>,
    pub(super) weights: WeightFormat,
    pub(super) draft: Option<&'static str>,
}

/// Milliseconds.
pub(super) fn ms(milliseconds: f64) -> Seconds {
    Seconds(milliseconds / 1e3)
}

impl Run {
    /// A model in 16 bits on a bundled profile.
    pub(super) fn new(model: &'static str, profile: &str, typed: Typed) -> Self {
        let profile = bundled_named(profile).and_then(|bundled| bundled.profile()).unwrap().clone();
        let (otherwise, kv) = (Scenario::default(), KvFormat::plain(DType::Bf16));
        Self {
            model,
            profile,
            typed,
            observed: Observation::new(Vec::new()),
            kv,
            otherwise,
            link: None,
            host_link: None,
            weights: WeightFormat::plain(DType::Bf16),
            draft: None,
        }
    }

    /// Conformance cases C46 to C56.
    pub(super) fn qwen() -> Self {
        let typed = Typed {
            ttft: Some(ms(1088.62)),
            tpot: Some(ms(18.77)),
            batch: Some(16),
            prompt: Some(1024),
            generate: Some(1024),
            ..Typed::default()
        };
        Self::new("qwen2.5-7b", "npu-64gb-300tflops", typed)
    }

    /// One sequence of the same model on an H100 on which 3 TB/s of 3.35 were measured, and 4 µs for starting a kernel.
    pub(super) fn measured() -> Self {
        let typed =
            Typed { tpot: Some(ms(6.0)), batch: Some(1), prompt: Some(1024), generate: Some(1024), ..Typed::default() };
        let mut run = Self::new("qwen2.5-7b", "nvidia-h100-sxm", typed);
        run.ceilings(&[
            ("memory.read", &[(1e6, 1e12), (1e8, 3e12), (1e11, 3e12)]),
            ("memory.dram.read", &[(1e11, 3e12)]),
            ("memory.copy", &[(1e5, 2e11), (1e11, 2.7e12)]),
            ("compute.matrix.bf16.f32", &[(0.0, 8e14)]),
            ("gemv.bf16", &[(1e6, 1e12), (1e7, 2e12), (1e8, 2.9e12), (1e11, 2.9e12)]),
            ("attention.decode.bf16", &[(128.0, 1.5e12), (1e5, 2.5e12)]),
            ("attention.decode.fp8_e4m3", &[(128.0, 1.0e12), (1e5, 1.5e12)]),
            ("attention.prefill.bf16", &[(128.0, 2e14), (1e5, 5e14)]),
            ("rowwise.rmsnorm.bf16", &[(1e5, 2e11), (1e11, 2.7e12)]),
            ("overhead.launch", &[(0.0, 4e-6)]),
        ]);
        run
    }

    /// One sequence of a small model on the sixteen cores of a desktop, bare of any hypervisor, with two modules of memory and huge pages.
    pub(super) fn processor() -> Self {
        let typed =
            Typed { tpot: Some(ms(20.0)), batch: Some(1), prompt: Some(512), generate: Some(128), ..Typed::default() };
        let mut run = Self::new("qwen2.5-0.5b", "amd-ryzen-9-7950x", typed);
        run.ceilings(&[
            ("memory.read", &[(1e5, 2e12), (1e9, 6.4e10)]),
            ("memory.dram.read", &[(1e9, 6.4e10)]),
            ("memory.copy", &[(1e5, 2e12), (1e9, 5e10)]),
            ("memory.add", &[(1e5, 2e12), (1e9, 5e10)]),
            ("memory.triad", &[(1e5, 2e12), (1e9, 5e10)]),
            ("compute.vector.f32", &[(0.0, 2.2e12)]),
            ("compute.vector.bf16.f32", &[(0.0, 4.4e12)]),
        ]);
        run.put(Scope::Core, &[("memory.dram.read", &[(1e9, 3.2e10)]), ("compute.vector.f32", &[(0.0, 1.6e11)])]);
        for ceiling in &mut run.profile.ceilings {
            if let Outcome::Ok { points, .. } = &mut ceiling.outcome {
                points.iter_mut().for_each(|point| point.clock = Some(Hertz(5e9)));
            }
        }
        run.profile.device.isa = Some("x86_64".to_owned());
        run.profile.device.logical_processors = Some(32);
        run.profile.conditions.huge_pages = Some("always".to_owned());
        (run.profile.observed.memory_allocated, run.profile.observed.memory_in_huge_pages) = (1 << 30, Some(1 << 30));
        run
    }

    /// Puts ceilings into the profile, each with places and values; one at place 0 has no axis.
    pub(super) fn ceilings(&mut self, ceilings: &[(&str, &[(f64, f64)])]) {
        self.put(Scope::Device, ceilings);
    }

    /// The same, of one core or of all.
    pub(super) fn put(&mut self, scope: Scope, ceilings: &[(&str, &[(f64, f64)])]) {
        self.profile.name = "measured-here".to_owned();
        for (name, points) in ceilings {
            let key = Key { resource: name.parse().unwrap(), scope };
            let points = points.iter().map(|&(at, value)| Point::exact((at > 0.0).then_some(at), value)).collect();
            self.profile
                .ceilings
                .push(Ceiling::new(key, Outcome::Ok { points, limit: None, plateau: None, fit: None }));
        }
    }

    /// The same with something else typed.
    pub(super) fn with(mut self, change: impl Fn(&mut Typed)) -> Self {
        change(&mut self.typed);
        self
    }

    pub(super) fn diagnose(&self) -> Diagnosis {
        let model = find_preset(self.model).unwrap().model().unwrap();
        let precision = Precision::uniform(&model, self.weights);
        let (run, _) = self.typed.over(&self.observed).unwrap();
        let subject = Subject { model: &model, precision: &precision, kv: self.kv, routing: Routing::default() };
        let draft = self.draft.map(|name| find_preset(name).unwrap().model().unwrap());
        let of_draft = draft.as_ref().map(|draft| Precision::uniform(draft, WeightFormat::plain(DType::Bf16)));
        let draft = draft.as_ref().zip(of_draft.as_ref());
        let inputs = Inputs {
            engine: None,
            run: &run,
            subject,
            formats: ("bf16", "bf16"),
            profile: &self.profile,
            datasheet: None,
            scenario: scenario(&run, &subject, self.profile.device.kind, &self.otherwise),
            link: self.link,
            measured_link: None,
            unused: &[],
            host_link: self.host_link,
            draft: draft.map(|(model, precision)| Subject { model, precision, ..subject }),
        };
        let source = Source { version: "0".to_owned(), commit: None, target: None };
        diagnose(&inputs, source, Timestamp::UNIX_EPOCH).unwrap()
    }

    /// What a rule finds, and nothing where it does not.
    pub(super) fn finds(&self, rule: &str) -> Option<Found> {
        let diagnosis = self.diagnose();
        let found = diagnosis.findings.into_iter().find(|finding| finding.rule == rule).map(|finding| finding.found);
        assert!(found.is_some() || diagnosis.checked.iter().any(|checked| checked.rule == rule), "there is no {rule}");
        found
    }
}
