//! Matrix products by rooflab's own kernels and by the maker's library: each with its implementations, where there are some.

use super::gemm::Gemm;
use super::vendor::Vendor;
use crate::backend::cuda::gpu::{Buffer, Gpu};
use crate::backend::cuda::libraries::cublaslt::Lt;
use crate::backend::cuda::timing::Program;
use crate::backend::{BackendError, CycleLimit};
use crate::dtype::DType;
use crate::facts::Implementer;
use crate::workload::Shape;

/// A matrix product by whoever has it.
pub(in crate::backend::cuda) struct Product<'device> {
    own: Option<Gemm<'device>>,
    vendor: Option<Vendor<'device>>,
    /// rooflab's own come first, and are so many.
    names: Vec<String>,
    own_names: usize,
    without: Option<(Implementer, String)>,
}

impl<'device> Product<'device> {
    /// The library is there, or the reason why not.
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        library: Result<&'device Lt, &str>,
        formats: (DType, DType),
        (shape, copies): (Shape, u64),
    ) -> Result<Self, BackendError> {
        let own = Gemm::new(gpu, formats, shape, copies);
        let lt = match library {
            Ok(lt) => lt,
            Err(reason) => {
                return own.map(|own| Self::of(Some(own), None, None)).map_err(|error| besides(error, reason));
            }
        };
        match (own, Vendor::new(gpu, lt, formats, shape, copies)) {
            (Ok(own), Ok(vendor)) => Ok(Self::of(Some(own), Some(vendor), None)),
            (_, Err(error @ BackendError::Lost(_))) => Err(error),
            (Ok(own), Err(error)) => Ok(Self::of(Some(own), None, Some((Implementer::Vendor, error.to_string())))),
            (Err(error @ (BackendError::NoKernel { .. } | BackendError::Unsupported { .. })), Ok(vendor)) => {
                Ok(Self::of(None, Some(vendor), Some((Implementer::Open, error.to_string()))))
            }
            (Err(error), Ok(_)) => Err(error),
            (Err(error), Err(theirs)) => Err(besides(error, &theirs.to_string())),
        }
    }

    fn of(own: Option<Gemm<'device>>, vendor: Option<Vendor<'device>>, without: Option<(Implementer, String)>) -> Self {
        let mut names: Vec<String> = own.iter().flat_map(Program::variants).cloned().collect();
        let own_names = names.len();
        names.extend(vendor.iter().flat_map(Vendor::names).map(str::to_owned));
        Self { own, vendor, names, own_names, without }
    }

    /// The implementer of a variant, and which of theirs it is.
    fn place(&self, variant: usize) -> (Implementer, usize) {
        let own = self.own_names;
        if variant < own { (Implementer::Open, variant) } else { (Implementer::Vendor, variant - own) }
    }
}

/// What rooflab has no kernel for, and why the library does not have it either.
fn besides(error: BackendError, theirs: &str) -> BackendError {
    match error {
        BackendError::NoKernel { reason } => BackendError::no_kernel(format!("{reason}; {theirs}")),
        other => other,
    }
}

impl Program for Product<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn implementer(&self, variant: usize) -> Implementer {
        self.place(variant).0
    }

    fn without(&self) -> Option<(Implementer, &str)> {
        self.without.as_ref().map(|(by, reason)| (*by, reason.as_str()))
    }

    fn most_at_once(&self, variant: usize) -> u64 {
        match (self.place(variant), &self.own) {
            ((Implementer::Open, variant), Some(own)) => own.most_at_once(variant),
            _ => 1,
        }
    }

    fn prepare(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError> {
        match (self.place(variant), &mut self.own) {
            ((Implementer::Open, variant), Some(own)) => own.prepare(variant, iterations),
            _ => Ok(()),
        }
    }

    fn launch(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError> {
        match (self.place(variant), &mut self.own, &mut self.vendor) {
            ((Implementer::Open, variant), Some(own), _) => own.launch(variant, iterations),
            ((_, variant), _, Some(vendor)) => vendor.launch(variant),
            _ => Ok(()),
        }
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        match (self.place(variant), &mut self.own, &self.vendor) {
            ((Implementer::Open, variant), Some(own), _) => own.verify(variant),
            ((_, variant), _, Some(vendor)) => vendor.verify(variant),
            _ => Ok(()),
        }
    }

    fn renew(&mut self, variant: usize) -> Result<(), BackendError> {
        match (self.place(variant), &mut self.own, &mut self.vendor) {
            ((Implementer::Open, variant), Some(own), _) => own.renew(variant),
            (_, _, Some(vendor)) => vendor.renew(),
            _ => Ok(()),
        }
    }

    fn results(&self, variant: usize) -> Option<&Buffer> {
        match (self.place(variant), &self.own, &self.vendor) {
            ((Implementer::Open, variant), Some(own), _) => own.results(variant),
            (_, _, vendor) => vendor.as_ref().map(Vendor::results),
        }
    }

    /// Both have factors of their own.
    fn keep_only(&mut self, variant: usize) {
        match self.place(variant).0 {
            Implementer::Open => self.vendor = None,
            Implementer::Vendor => self.own = None,
        }
    }

    fn limit(&self, variant: usize) -> Option<CycleLimit> {
        match (self.place(variant), &self.own) {
            ((Implementer::Open, variant), Some(own)) => own.limit(variant),
            _ => None,
        }
    }
}
