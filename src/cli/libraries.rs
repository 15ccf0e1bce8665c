//! Where NVIDIA's libraries are looked for: what the environment says, the toolkit's folder, and the Python environment in use.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rooflab::backend::LibraryFolders;
use rooflab::facts::LibraryPlace;

/// Folders that count alone, where it is set; where it is empty, no library is used.
pub(crate) const VARIABLE: &str = "ROOFLAB_CUDA_LIBS";
/// Folders of the packages on PyPI that hold such libraries, from CUDA 13 on and before.
const PACKAGES: [&str; 3] = ["cu13", "cublas", "nccl"];

/// The folders, as the environment says.
#[expect(clippy::disallowed_methods, reason = "this is where the command reads its environment")]
pub(crate) fn folders() -> LibraryFolders {
    of(std::env::var_os)
}

fn of(environment: impl Fn(&'static str) -> Option<OsString>) -> LibraryFolders {
    let listed = |text: OsString| std::env::split_paths(&text).filter(|path| !path.as_os_str().is_empty()).collect();
    let named = environment(VARIABLE).map(listed);
    let toolkit = match environment("CUDA_PATH").filter(|_| cfg!(windows)) {
        Some(folder) => Path::new(&folder).join("bin"),
        None => PathBuf::from("/usr/local/cuda/lib64"),
    };
    let python = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(environment);
    let python = python.flat_map(|folder| of_python(Path::new(&folder)));
    let python = python.map(|folder| (LibraryPlace::Python, folder));
    LibraryFolders { named, usual: std::iter::once((LibraryPlace::Toolkit, toolkit)).chain(python).collect() }
}

/// Folders of libraries within a Python environment.
fn of_python(environment: &Path) -> Vec<PathBuf> {
    let (library, binaries) = if cfg!(windows) { ("Lib", "bin") } else { ("lib", "lib") };
    let library = environment.join(library);
    let mut versions: Vec<PathBuf> = fs::read_dir(&library)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python")))
        .collect();
    versions.sort();
    let homes = versions.into_iter().chain([library]);
    let packages = homes.map(|home| home.join("site-packages").join("nvidia"));
    packages
        .flat_map(|home| PACKAGES.map(|package| home.join(package).join(binaries)))
        .filter(|path| path.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_named_are_told_from_none() {
        let named = |text: Option<&str>| of(|name| text.filter(|_| name == VARIABLE).map(OsString::from)).named;
        assert_eq!((named(None), named(Some(""))), (None, Some(Vec::new())));
        let two = std::env::join_paths(["/a", "/b"]).unwrap().into_string().unwrap();
        assert_eq!(named(Some(&two)), Some(vec!["/a".into(), "/b".into()]));
    }

    #[cfg(unix)]
    #[test]
    fn a_python_environment_is_looked_through() {
        let home = tempfile::tempdir().unwrap();
        let packages =
            ["lib/python3.12/site-packages/nvidia/cublas/lib", "lib/python3.13/site-packages/nvidia/cu13/lib"];
        for package in packages {
            fs::create_dir_all(home.path().join(package)).unwrap();
        }
        let found = of(|name| (name == "VIRTUAL_ENV").then(|| home.path().into())).usual;
        let expected = packages.map(|package| (LibraryPlace::Python, home.path().join(package)));
        assert_eq!(found[1..], expected);
        assert_eq!(found[0].0, LibraryPlace::Toolkit);
    }
}
