//! The kernels that ship with rooflab, as PTX, and which of them a device can run.
//!
//! Each file says itself what it needs: the driver must understand its `.version`, and the device must be of its `.target` or newer. Targets that end in `a` are for one
//! compute capability alone.

use super::driver::Version;
use super::survey::Found;
use crate::backend::BackendError;

/// A source file in `kernels/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Atomic,
    Chase,
    Clock,
    Decode,
    Empty,
    Gemm,
    GemmFp8,
    GemmWarpgroup,
    Gemv,
    MatrixMultiplyAdd,
    MultiplyAdd,
    Prefill,
    Rowwise,
    Stream,
    WarpgroupMultiplyAdd,
    WarpgroupSparse,
}

/// What was compiled from a source for a target.
#[derive(Debug)]
pub(super) struct Ptx {
    pub(super) source: Source,
    /// The file in `kernels/ptx`.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

/// Embeds files of `kernels/ptx`.
macro_rules! ptx {
    ($($source:ident $name:literal),* $(,)?) => {
        /// Every file of PTX that ships.
        pub(super) const ALL: &[Ptx] = &[$(Ptx {
            source: Source::$source,
            name: $name,
            text: include_str!(concat!("../../../kernels/ptx/", $name, ".ptx")),
        }),*];
    };
}

ptx![
    Atomic "atomic.sm_70",
    Chase "chase.sm_70",
    Clock "clock.sm_70",
    Decode "decode.sm_70",
    Decode "decode.sm_89",
    Empty "empty.sm_70",
    Gemm "gemm.sm_80",
    GemmFp8 "gemm_fp8.sm_89",
    GemmWarpgroup "gemm_warpgroup.sm_90a",
    Gemv "gemv.sm_70",
    Gemv "gemv.sm_89",
    MatrixMultiplyAdd "matrix_multiply_add.sm_75",
    MatrixMultiplyAdd "matrix_multiply_add.sm_80",
    MatrixMultiplyAdd "matrix_multiply_add.sm_89",
    MatrixMultiplyAdd "matrix_multiply_add.sm_90",
    MatrixMultiplyAdd "matrix_multiply_add.sm_120",
    MultiplyAdd "multiply_add.sm_70",
    MultiplyAdd "multiply_add.sm_80",
    Prefill "prefill.sm_80",
    Rowwise "rowwise.sm_70",
    Rowwise "rowwise.sm_80",
    Stream "stream.sm_70",
    WarpgroupMultiplyAdd "warpgroup_multiply_add.sm_90a",
    WarpgroupSparse "warpgroup_sparse.sm_90a",
];

/// What a file needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Needs {
    /// The version of the PTX language.
    version: Version,
    /// The compute capability.
    capability: (u32, u32),
    /// Whether no other capability will do.
    exactly: bool,
}

impl Ptx {
    /// What the text says it needs.
    fn needs(&self) -> Option<Needs> {
        let value = |word: &str| self.text.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
        let (major, minor) = value(".version")?.split_once('.')?;
        let target = value(".target")?.split([',', ' ']).next()?.strip_prefix("sm_")?;
        let exactly = target.ends_with('a');
        let number: u32 = target.trim_end_matches('a').parse().ok()?;
        Some(Needs {
            version: Version { major: major.parse().ok()?, minor: minor.parse().ok()? },
            capability: (number / 10, number % 10),
            exactly,
        })
    }
}

/// What is missing for a file to run, the least first: a driver can be updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lacking {
    /// A driver for this version of CUDA.
    Driver(Version),
    /// This compute capability.
    Capability((u32, u32)),
}

impl Lacking {
    /// The same in words, of a device.
    fn told(self, device: &Found) -> String {
        match self {
            Self::Driver(cuda) => {
                format!("it needs a driver for CUDA {cuda} or later, and this one is for {}", device.cuda())
            }
            Self::Capability((major, minor)) => {
                let (has, of) = device.capability;
                format!("it needs compute capability {major}.{minor}, and this device has {has}.{of}")
            }
        }
    }
}

impl Needs {
    /// What a device or its driver lacks to run it.
    fn lacking(self, device: &Found) -> Option<Lacking> {
        let suits =
            if self.exactly { device.capability == self.capability } else { device.capability >= self.capability };
        if !suits {
            return Some(Lacking::Capability(self.capability));
        }
        let cuda = cuda_that_reads(self.version);
        (device.cuda() < cuda).then_some(Lacking::Driver(cuda))
    }
}

/// The first version of CUDA whose drivers read a version of PTX (release notes of the PTX ISA).
const fn cuda_that_reads(ptx: Version) -> Version {
    match (ptx.major, ptx.minor) {
        (8, 6..) => Version { major: 12, minor: ptx.minor + 1 },
        (major, minor) => Version { major: major + 4, minor },
    }
}

/// The best file of a source that has a kernel and that a device and its driver can run. Not every file of a source has every kernel. Where there is none, that says nothing
/// of what the device could do.
pub(super) fn choose(source: Source, kernel: &str, device: &Found) -> Result<&'static Ptx, BackendError> {
    let entry = format!(".entry {kernel}(");
    let mut best: Option<(&'static Ptx, Needs)> = None;
    let mut least: Option<Lacking> = None;
    for ptx in ALL.iter().filter(|ptx| ptx.source == source && ptx.text.contains(&entry)) {
        let Some(needs) = ptx.needs() else {
            return Err(BackendError::System(format!("`{}.ptx` does not say what it is for", ptx.name)));
        };
        match needs.lacking(device) {
            Some(lacking) => least = Some(least.map_or(lacking, |least| least.min(lacking))),
            None if best
                .is_none_or(|(_, other)| (needs.exactly, needs.capability) > (other.exactly, other.capability)) =>
            {
                best = Some((ptx, needs));
            }
            None => {}
        }
    }
    best.map(|(ptx, _)| ptx).ok_or_else(|| {
        let why = least.map_or_else(|| format!("`{kernel}` does not ship"), |least| least.told(device));
        BackendError::no_kernel(format!("there is no kernel for this device: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_says_what_it_needs_and_is_what_its_name_says() {
        for ptx in ALL {
            let needs = ptx.needs().unwrap_or_else(|| panic!("{} does not", ptx.name));
            let (major, minor) = needs.capability;
            let target = format!("sm_{major}{minor}{}", if needs.exactly { "a" } else { "" });
            assert!(ptx.name.ends_with(&target), "{} is for {target}", ptx.name);
            assert!(!ptx.text.contains('\0'), "{} would end early", ptx.name);
        }
    }

    /// What a source compiles to rests on the files that all of them share, in the order of their names, and on itself.
    #[test]
    fn every_file_is_of_the_source_that_is_there() {
        use sha2::{Digest, Sha256};
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
        let mut shared: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        shared.retain(|path| path.extension().is_some_and(|extension| extension == "cuh"));
        shared.sort();
        for ptx in ALL {
            let source = ptx.name.split('.').next().unwrap();
            let mut hash = Sha256::new();
            for path in shared.iter().chain([&folder.join(format!("{source}.cu"))]) {
                hash.update(std::fs::read(path).unwrap());
            }
            let line = format!("// source sha256: {:x}", hash.finalize());
            assert_eq!(ptx.text.lines().next(), Some(line.as_str()), "{}: run `scripts/kernels`", ptx.name);
        }
    }

    #[test]
    fn every_file_ships() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/ptx");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        for name in names {
            assert!(ALL.iter().any(|ptx| format!("{}.ptx", ptx.name) == name), "{name} is not embedded");
        }
    }

    #[test]
    fn a_file_without_the_kernel_is_never_chosen_and_the_nearest_says_what_it_takes() {
        let chosen = |kernel, capability, cuda| {
            choose(Source::MatrixMultiplyAdd, kernel, &Found::of("", capability, cuda)).map(|ptx| ptx.name)
        };
        assert_eq!(chosen("matrix_fp8_m16n8k32", (8, 9), (12, 4)), Ok("matrix_multiply_add.sm_89"));
        assert_eq!(chosen("matrix_bf16_m16n8k16", (8, 9), (12, 2)), Ok("matrix_multiply_add.sm_80"));
        let refused = |kernel, capability, cuda| match chosen(kernel, capability, cuda) {
            Err(BackendError::NoKernel { reason }) => reason,
            other => panic!("{kernel}: {other:?}"),
        };
        // An update of the driver is nearer than another device.
        let old_driver = refused("matrix_fp8_m16n8k32", (8, 9), (12, 2));
        assert!(old_driver.contains("a driver for CUDA 12.4 or later, and this one is for 12.2"), "{old_driver}");
        let other_device = refused("matrix_fp8_m16n8k32", (8, 6), (12, 2));
        assert!(other_device.contains("compute capability 8.9, and this device has 8.6"), "{other_device}");
        assert!(refused("matrix_of_nothing", (9, 0), (12, 9)).contains("`matrix_of_nothing`"));
    }

    #[test]
    fn drivers_read_what_release_notes_say() {
        let version = |major, minor| Version { major, minor };
        let pairs = [
            ((7, 4), (11, 4)),
            ((8, 0), (12, 0)),
            ((8, 4), (12, 4)),
            ((8, 6), (12, 7)),
            ((8, 8), (12, 9)),
            ((9, 0), (13, 0)),
        ];
        for (ptx, cuda) in pairs {
            assert_eq!(cuda_that_reads(version(ptx.0, ptx.1)), version(cuda.0, cuda.1));
        }
    }
}
