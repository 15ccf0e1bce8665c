//! Products for tests, on a processor of two cores that was measured.

use jiff::Timestamp;

use super::{Product, ProductDiagnosis, ProductError, ProductInputs, diagnose_product};
use crate::dtype::DType;
use crate::facts::{DeviceKind, Identity};
use crate::profile::{Ceiling, Limit, Outcome, Point, Profile, Source, bundled_named};
use crate::resource::{Key, Scope};
use crate::units::{Hertz, Seconds};
use crate::workload::Shape;

/// Two cores of 190 GFLOP/s each by the manual, of which 340 GFLOP/s are reached, and 280 by a product of 1024³.
pub(in crate::diagnose) fn golden_cove() -> Profile {
    let mut profile = bundled_named("nvidia-h100-sxm").and_then(|bundled| bundled.profile()).unwrap().clone();
    profile.name = "two-cores.cpu".to_owned();
    profile.device =
        Identity { cores: 2, isa: Some("x86_64".to_owned()), ..Identity::named("Two Cores", DeviceKind::Cpu) };
    profile.datasheet = Vec::new();
    profile.matches = Vec::new();
    for (resource, scope, value, limit) in [
        (
            "compute.vector.f32",
            Scope::Device,
            340e9,
            Some((380e9, "2 cores × 64 operations per cycle × 2.97 GHz measured")),
        ),
        ("compute.vector.f32", Scope::Core, 175e9, Some((190e9, "64 operations per cycle × 2.97 GHz measured"))),
        ("compute.vector.bf16.f32", Scope::Device, 170e9, None),
        ("memory.dram.read", Scope::Device, 25e9, None),
    ] {
        let limit = limit.map(|(value, formula)| Limit { value, formula: formula.to_owned(), source: "manual".into() });
        let mut at = Point::exact(resource.starts_with("memory").then_some(1e11), value);
        at.clock = Some(Hertz(2.97e9));
        let points = vec![at];
        let outcome = Outcome::Ok { points, limit, plateau: None, fit: None };
        profile.ceilings.push(Ceiling::new(Key { resource: resource.parse().unwrap(), scope }, outcome));
    }
    for (scope, value) in [(Scope::Device, 280e9), (Scope::Core, 140e9)] {
        let mut at = Point::exact(None, value);
        at.shape = Some(Shape::square(1024));
        let outcome = Outcome::Ok { points: vec![at], limit: None, plateau: None, fit: None };
        profile.ceilings.push(Ceiling::new(Key { resource: "gemm.f32".parse().unwrap(), scope }, outcome));
    }
    profile
}

/// A product of 1024³ in f32 at a rate.
pub(in crate::diagnose) fn product(profile: &Profile, rate: f64, threads: Option<u64>) -> ProductDiagnosis {
    let shape = Shape::square(1024);
    let time = Seconds(2.0 * 1024.0_f64.powi(3) / rate);
    of(profile, Product { shape, dtype: DType::F32, time, threads }).unwrap()
}

/// Any product.
pub(in crate::diagnose) fn of(profile: &Profile, product: Product) -> Result<ProductDiagnosis, ProductError> {
    let inputs = ProductInputs { product, profile, datasheet: None };
    let source = Source { version: "0".to_owned(), commit: None, target: None };
    diagnose_product(&inputs, source, Timestamp::UNIX_EPOCH)
}
