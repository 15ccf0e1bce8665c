//! NVIDIA's libraries, which are used where they are installed: looked for, loaded, and every function found before one is called. Nothing depends on one being there.

/// Declares the functions of a library, by what they do.
macro_rules! functions {
    ($($field:ident = $name:ident($($argument:ty),* $(,)?) -> $result:ty;)*) => {
        /// The library's functions, by what they do.
        #[derive(Clone, Copy, Debug)]
        pub(in crate::backend::cuda) struct Functions { $($field: unsafe extern "C" fn($($argument),*) -> $result,)* }

        impl Functions {
            fn find(library: &libloading::Library) -> Result<Self, &'static str> {
                // SAFETY: each has the type that the library's header declares it with; enums of C's are passed as numbers of 32 bits.
                unsafe { Ok(Self { $($field: look_up(library, stringify!($name))?,)* }) }
            }
        }
    };
}

pub(super) mod cublaslt;
pub(super) mod nccl;

use std::path::{Path, PathBuf};

use super::driver::Version;
use crate::backend::{BackendError, LibraryFolders};
use crate::facts::{Library, LibraryName, LibraryPlace, LibraryState};

/// A library that is looked for.
pub(super) struct Wanted {
    /// Its file's name, without what systems put around it.
    stem: &'static str,
    /// The major versions that rooflab knows the functions of, best first. The first is that of CUDA where the library follows its numbers.
    majors: &'static [u32],
}

/// A library that was loaded. It stays so until the process ends: threads and handlers of its own may outlive whoever used it.
#[derive(Debug)]
pub(super) struct Loaded<F> {
    pub(super) functions: F,
    pub(super) version: String,
    file: String,
    place: LibraryPlace,
}

impl<F> Loaded<F> {
    /// What is told of it.
    pub(super) fn told(&self) -> LibraryState {
        LibraryState::Used { version: self.version.clone(), file: self.file.clone(), place: self.place }
    }
}

/// A library that is ready to be used on a device, or the reason why not; and what is told of it.
pub(super) struct Used<L> {
    ready: Result<L, String>,
    pub(super) told: Library,
}

impl<L> Used<L> {
    /// A library that was looked for, made ready.
    pub(super) fn of<F>(
        name: LibraryName,
        found: Result<Loaded<F>, String>,
        make: impl FnOnce(&Loaded<F>) -> Result<L, BackendError>,
    ) -> Self {
        let told = told(name, &found);
        match found.and_then(|loaded| make(&loaded).map_err(|error| error.to_string())) {
            Ok(ready) => Self { ready: Ok(ready), told },
            Err(reason) => {
                let told = Library { name, state: LibraryState::Absent { reason } };
                Self { ready: Err(told.to_string()), told }
            }
        }
    }

    /// The library, or that there is none and why.
    pub(super) fn as_ref(&self) -> Result<&L, &str> {
        self.ready.as_ref().map_err(String::as_str)
    }
}

/// What is told of a library that was looked for.
pub(super) fn told<F>(name: LibraryName, found: &Result<Loaded<F>, String>) -> Library {
    let state = match found {
        Ok(loaded) => loaded.told(),
        Err(reason) => LibraryState::Absent { reason: reason.clone() },
    };
    Library { name, state }
}

/// The name of a library's file, of a major version or of none.
fn file_name(stem: &str, major: Option<u32>) -> String {
    let version = |mark: &str| major.map_or(String::new(), |major| format!("{mark}{major}"));
    if cfg!(windows) { format!("{stem}64{}.dll", version("_")) } else { format!("lib{stem}.so{}", version(".")) }
}

/// A file that may be the library.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    place: LibraryPlace,
    path: PathBuf,
}

impl Candidate {
    fn file(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
}

/// Files that may be a library, best first. Where folders were named, those alone; otherwise the system's loader is asked by name, which says itself what it does not find.
fn candidates(wanted: &Wanted, folders: &LibraryFolders, is_there: impl Fn(&Path) -> bool) -> Vec<Candidate> {
    let names: Vec<String> = wanted.majors.iter().map(|&major| file_name(wanted.stem, Some(major))).collect();
    let within = |place: LibraryPlace, folder: &Path, names: &[String]| -> Vec<Candidate> {
        let paths = names.iter().map(|name| folder.join(name)).filter(|path| is_there(path));
        paths.map(|path| Candidate { place, path }).collect()
    };
    if let Some(named) = &folders.named {
        let names: Vec<String> = names.into_iter().chain([file_name(wanted.stem, None)]).collect();
        return named.iter().flat_map(|folder| within(LibraryPlace::Chosen, folder, &names)).collect();
    }
    let of_loader = names.iter().map(|name| Candidate { place: LibraryPlace::System, path: name.into() });
    let usual = folders.usual.iter().flat_map(|(place, folder)| within(*place, folder, &names));
    of_loader.chain(usual).collect()
}

/// Why nothing came of any candidate.
fn none_of(wanted: &Wanted, folders: &LibraryFolders, failures: &[String]) -> String {
    if !failures.is_empty() {
        return failures.join("; ");
    }
    let names: Vec<String> =
        wanted.majors.iter().map(|&major| format!("`{}`", file_name(wanted.stem, Some(major)))).collect();
    match &folders.named {
        Some(named) if named.is_empty() => "no folder was named for libraries".to_owned(),
        Some(_) => format!("the folders that were named have none of {}", names.join(", ")),
        None => format!("none of {} was found", names.join(", ")),
    }
}

/// Whether the loader's words mean that there is no such file, and not that something is wrong with one.
fn means_not_there(said: &str, name: &str) -> bool {
    said.starts_with(name) && said.contains("No such file") || said.contains("LoadLibraryExW")
}

/// Loads the first candidate that has every function and a version that is known, as two functions say.
pub(super) fn load<F>(
    wanted: &Wanted,
    folders: &LibraryFolders,
    find: impl Fn(&libloading::Library) -> Result<F, &'static str>,
    version: impl Fn(&F) -> Result<String, String>,
) -> Result<Loaded<F>, String> {
    let mut failures: Vec<String> = Vec::new();
    for candidate in candidates(wanted, folders, Path::is_file) {
        let file = candidate.file();
        // SAFETY: the library is NVIDIA's, or what somebody put in its place; loading it runs its initialisers, as for every program that uses it.
        let library = match unsafe { libloading::Library::new(&candidate.path) } {
            Ok(library) => library,
            Err(error) => {
                // What the system said stands behind what was asked of it.
                let said = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                if !means_not_there(&said, &file) {
                    failures.push(format!("`{file}` cannot be loaded: {}", without_folders(&said, &candidate.path)));
                }
                continue;
            }
        };
        let functions = find(&library).map_err(|symbol| format!("`{file}` lacks `{symbol}`"));
        let accepted = functions.and_then(|functions| {
            let version = version(&functions).map_err(|why| format!("`{file}` {why}"))?;
            Ok((functions, version))
        });
        match accepted {
            Ok((functions, version)) => {
                // Its functions are called from now on.
                std::mem::forget(library);
                return Ok(Loaded { functions, version, file, place: candidate.place });
            }
            Err(why) => failures.push(why),
        }
    }
    Err(none_of(wanted, folders, &failures))
}

/// What a loader said, without the folder, whose name may be a person's.
fn without_folders(said: &str, path: &Path) -> String {
    match path.parent().map(|folder| folder.to_string_lossy()) {
        Some(folder) if !folder.is_empty() => said.replace(&format!("{folder}{}", std::path::MAIN_SEPARATOR), ""),
        _ => said.to_owned(),
    }
}

/// Whether a library for a version of CUDA runs on a driver: within a major version any does.
fn suits(driver: Version, major: u32) -> Result<(), String> {
    if major <= driver.major {
        return Ok(());
    }
    Err(format!("is for CUDA {major}, and the driver for CUDA {driver}"))
}

/// A function by its name.
///
/// # Safety
/// `F` is the function's type, and the library stays loaded as long as it is called.
unsafe fn look_up<F: Copy>(library: &libloading::Library, name: &'static str) -> Result<F, &'static str> {
    // SAFETY: the caller knows the function's type.
    unsafe { library.get::<F>(name) }.map(|symbol| *symbol).map_err(|_| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { stem: "any", majors: &[13, 12] };

    fn paths(folders: &LibraryFolders, there: &[&str]) -> Vec<(LibraryPlace, String)> {
        let is_there = |path: &Path| there.iter().any(|known| Path::new(known) == path);
        let found = candidates(&WANTED, folders, is_there).into_iter();
        found.map(|found| (found.place, found.path.to_string_lossy().into_owned())).collect()
    }

    #[cfg(unix)]
    #[test]
    fn the_loader_is_asked_first_and_named_folders_count_alone() {
        use LibraryPlace::{Chosen, Python, System};
        let usual = vec![(LibraryPlace::Toolkit, "/t".into()), (Python, "/p".into())];
        let there = ["/p/libany.so.12", "/p/libany.so", "/n/libany.so", "/n/libany.so.13"];
        let found = |named: Option<Vec<PathBuf>>| paths(&LibraryFolders { named, usual: usual.clone() }, &there);
        let text = |place, path: &str| (place, path.to_owned());
        let of_loader = [text(System, "libany.so.13"), text(System, "libany.so.12")];
        assert_eq!(found(None), [&of_loader[..], &[text(Python, "/p/libany.so.12")]].concat());
        let named = [text(Chosen, "/n/libany.so.13"), text(Chosen, "/n/libany.so")];
        assert_eq!(found(Some(vec!["/m".into(), "/n".into()])), named);
        assert_eq!(found(Some(Vec::new())), []);
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_broken() {
        let name = "libany.so.12";
        assert!(means_not_there("libany.so.12: cannot open shared object file: No such file or directory", name));
        // Something that it needs itself is missing.
        assert!(!means_not_there("libother.so.1: cannot open shared object file: No such file or directory", name));
        assert!(!means_not_there("libany.so.12: invalid ELF header", name));
        let none = |named| none_of(&WANTED, &LibraryFolders { named, usual: Vec::new() }, &[]);
        assert!(none(None).contains("was found") && none(Some(Vec::new())).contains("no folder was named"));
    }

    #[test]
    fn a_driver_runs_libraries_up_to_its_own_major_version() {
        let driver = Version { major: 12, minor: 2 };
        assert_eq!((suits(driver, 11), suits(driver, 12)), (Ok(()), Ok(())));
        assert_eq!(suits(driver, 13), Err("is for CUDA 13, and the driver for CUDA 12.2".to_owned()));
    }

    #[test]
    fn a_folder_is_not_told() {
        let said = without_folders(
            "/home/somebody/lib/libany.so: invalid ELF header",
            Path::new("/home/somebody/lib/libany.so"),
        );
        assert_eq!(said, "libany.so: invalid ELF header");
    }
}
