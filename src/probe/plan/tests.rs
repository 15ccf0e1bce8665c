//! Plans of simulated devices, and of one that is only planned for.

use super::sizes::{FAR_OF_GPU, FAR_OF_SOFTWARE};
use super::workloads::{FIRST_WORKING_SET, collectives, peer_copies};
use super::*;
use crate::backend::mock::MockBackend;
use crate::backend::{Backend, BackendError, InPlace, Kernel, Stopwatch};
use crate::facts::{ClockReading, Conditions, Identity, Observed, Timer, TimerSource};
use crate::resource::{Access, Direction, Phase};
use crate::workload::{GPU_STREAM_GRANULE, Kind, STREAM_GRANULE, cache_bytes};

fn request(patterns: &[&str], effort: Effort) -> Request {
    let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    Request {
        selection: Selection::new(&patterns).unwrap(),
        effort,
        sustain: None,
        keep_samples: false,
        shapes: Vec::new(),
    }
}

fn plan_for(patterns: &[&str], effort: Effort) -> Plan {
    let device = MockBackend.open(0, &InPlace).unwrap();
    plan(device.as_ref(), None, request(patterns, effort))
}

#[test]
fn curves_start_in_l1_and_end_far_beyond_the_last_cache() {
    let plan = plan_for(&["memory.read"], Effort::Normal);
    let step = &plan.steps[0];
    let places: Vec<u64> = step.workloads.iter().map(Workload::footprint).collect();
    assert_eq!(places[0], 4 * FIRST_WORKING_SET);
    assert!(*places.last().unwrap() >= (512 << 20) - (1 << 20), "{places:?}");
    assert!(places.is_sorted());
}

#[test]
fn all_workloads_are_ones_that_backends_accept() {
    for effort in [Effort::Quick, Effort::Normal, Effort::Thorough] {
        for step in plan_for(&[], effort).steps {
            for workload in &step.workloads {
                match workload.kind {
                    Kind::Stream { elements, parts, .. } => {
                        assert!(elements > 0 && elements.is_multiple_of(parts * STREAM_GRANULE), "{workload:?}");
                    }
                    Kind::Chase { bytes, .. } => assert!(bytes.is_power_of_two(), "{workload:?}"),
                    _ => {}
                }
                assert!(workload.footprint() <= 2 << 30);
            }
        }
    }
}

#[test]
fn asking_for_main_memory_alone_spares_the_curve() {
    assert_eq!(plan_for(&["memory.dram.read"], Effort::Normal).steps[0].workloads.len(), 1);
    assert!(plan_for(&["memory.l2.read"], Effort::Normal).steps[0].workloads.len() > 5);
    // Left out of a quick run of everything, measured when named.
    assert_eq!(plan_for(&["memory.dram.add_nt"], Effort::Quick).steps.len(), 1);
    assert!(
        plan_for(&[], Effort::Quick)
            .left_out
            .iter()
            .any(|(key, why)| { key.to_string() == "memory.dram.add_nt" && *why == LeftOut::Effort })
    );
}

#[test]
fn whatever_is_asked_for_is_planned_or_left_out_with_the_reason() {
    let left_out = |plan: &Plan| -> Vec<(String, LeftOut)> {
        plan.left_out.iter().map(|(key, why)| (key.to_string(), *why)).collect()
    };
    let plan_of_cores = plan_for(&["overhead.launch", "gemm.f16.f32"], Effort::Normal);
    assert_eq!(plan_of_cores.steps.len(), 1);
    assert_eq!(left_out(&plan_of_cores), [("gemm.f16.f32".to_owned(), LeftOut::Unsuited)]);
    let gpu = PlainGpu(Identity::named("plain", DeviceKind::Gpu));
    let patterns = ["memory.write_nt", "memory.l2.read@core", "memory.dram.read"];
    let plan_of_gpu = plan(&gpu, None, request(&patterns, Effort::Normal));
    assert_eq!(plan_of_gpu.steps.len(), 1);
    let expected = [("memory.write_nt", LeftOut::Unsuited), ("memory.l2.read@core", LeftOut::NoSuchPart)];
    assert_eq!(left_out(&plan_of_gpu), expected.map(|(key, why)| (key.to_owned(), why)));
    let nothing_unsuited = plan(&gpu, None, request(&[], Effort::Normal));
    assert!(nothing_unsuited.left_out.iter().all(|(_, why)| *why == LeftOut::Effort));
}

#[test]
fn what_does_not_fit_is_not_put_down_to_the_effort() {
    let shapes = vec![Shape::square(1 << 20)];
    let device = MockBackend.open(0, &InPlace).unwrap();
    let plan = plan(device.as_ref(), None, Request { shapes, ..request(&["gemm.f64"], Effort::Thorough) });
    assert!(plan.steps.is_empty());
    assert_eq!(plan.left_out.iter().map(|(_, why)| *why).collect::<Vec<_>>(), [LeftOut::DoesNotFit]);
    assert!(LeftOut::DoesNotFit.reason(Effort::Thorough).contains("memory"));
}

/// A GPU as portable interfaces show it: a name and its memory.
struct PlainGpu(Identity);

impl Device for PlainGpu {
    fn identity(&self) -> &Identity {
        &self.0
    }

    fn conditions(&mut self) -> Conditions {
        Conditions::default()
    }

    fn observed(&self) -> Observed {
        Observed::default()
    }

    fn timer(&mut self) -> Timer {
        Timer { source: TimerSource::DeviceEvents, resolution: Seconds(1e-9), cost: Seconds(0.0) }
    }

    fn clock(&mut self) -> Option<ClockReading> {
        None
    }

    fn stopwatch(&self) -> Stopwatch {
        Box::new(|| Seconds(0.0))
    }

    fn lanes(&self, scope: Scope) -> u32 {
        u32::from(scope == Scope::Device)
    }

    fn stream_granule(&self) -> u64 {
        GPU_STREAM_GRANULE
    }

    fn largest_array(&self) -> Option<u64> {
        Some((2 << 30) - 16)
    }

    fn prepare<'device>(&'device mut self, _: &Workload) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        Err(BackendError::unsupported("it is only planned for"))
    }
}

#[test]
fn a_gpu_is_planned_for_as_a_whole() {
    for (kind, memory) in [(DeviceKind::Gpu, 0), (DeviceKind::Gpu, 24 << 30), (DeviceKind::Software, 2 << 30)] {
        let device = PlainGpu(Identity { memory, ..Identity::named("plain", kind) });
        for effort in [Effort::Quick, Effort::Normal, Effort::Thorough] {
            let plan = plan(&device, None, request(&[], effort));
            assert!(plan.steps.len() > 25 && plan.steps.iter().all(|step| step.scope == Scope::Device));
            let far = if kind == DeviceKind::Software { FAR_OF_SOFTWARE } else { FAR_OF_GPU };
            assert!(plan.memory <= far, "{kind:?} {effort:?}: {}", plan.memory);
            for workload in plan.steps.iter().flat_map(|step| &step.workloads) {
                match workload.kind {
                    Kind::Stream { access, elements, parts } => {
                        assert_eq!((parts, elements % GPU_STREAM_GRANULE), (1, 0));
                        assert_eq!(access, Access::plain(access.op), "WGSL has no stores past the caches");
                    }
                    Kind::Gemv { rows, parts, .. } => assert_eq!((parts, rows % 4), (1, 0)),
                    Kind::Attention { phase: Phase::Decode, kv, context, caches } => {
                        assert_eq!(caches, 1);
                        let bytes = cache_bytes(kv, context) * u64::from(workload.lanes);
                        assert!(workload.lanes > 0 && bytes <= FAR_OF_GPU, "{workload:?}");
                    }
                    Kind::HostCopy { direction, .. } => assert_ne!(direction, Direction::Memcpy),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn messages_between_devices_grow_to_what_fills_a_link() {
    assert_eq!(peer_copies(Grid::Far, 512 << 20), [256 << 20]);
    assert_eq!(peer_copies(Grid::Coarse, 512 << 20), [16 << 10, 256 << 10, 4 << 20, 64 << 20, 256 << 20]);
    assert_eq!(peer_copies(Grid::Octaves, 100 << 10), [16 << 10, 64 << 10, 100 << 10]);
    assert_eq!(peer_copies(Grid::Coarse, 100), [100]);
    assert_eq!(collectives(Grid::Coarse, 8 << 20), [1 << 10, 16 << 10, 256 << 10, 4 << 20, 8 << 20]);
    assert_eq!(collectives(Grid::Far, 8 << 30), [1 << 30]);
    let gpu = PlainGpu(Identity { memory: 24 << 30, ..Identity::named("plain", DeviceKind::Gpu) });
    for step in plan(&gpu, None, request(&["link.peer.*"], Effort::Thorough)).steps {
        for workload in step.workloads {
            assert!(workload.lanes == 1 && workload.bytes_per_lane() <= FAR_OF_GPU / 2, "{workload:?}");
        }
    }
}

#[test]
fn nobody_else_is_asked_for_a_link_to_the_host() {
    let memcpy = |step: &Step| matches!(step.probe.family, Family::HostCopy(Direction::Memcpy));
    let plan = plan_for(&["link.*"], Effort::Normal);
    assert!(!plan.steps.is_empty() && plan.steps.iter().all(memcpy));
}

#[test]
fn a_quarter_of_the_memory_is_enough() {
    let device = MockBackend.open(0, &InPlace).unwrap();
    for available in [None, Some(1 << 30), Some(100 << 20), Some(0)] {
        let plan = plan(device.as_ref(), available, request(&[], Effort::Thorough));
        let limit = (device.identity().memory / 4).min(available.map_or(u64::MAX, |bytes| bytes / 2)).max(2 << 20);
        assert!(plan.memory <= limit, "{available:?}: {}", plan.memory);
    }
}
