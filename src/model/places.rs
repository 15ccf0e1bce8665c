//! Finding a model: by a name, in a file or folder, in the local cache of Hugging Face, or on the hub.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::config::{read_config, shortened};
use super::gguf::GgufParts;
use super::hub;
use super::presets::{NoPreset, find_preset};
use super::safetensors::{Tensors, files_of_index};
use super::{Model, Precision, ReadError, WeightFormat};

/// Where models are looked for. The library asks no environment: the command hands the places in.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The hub folder of Hugging Face's cache: `~/.cache/huggingface/hub`, where nobody chose another.
    pub hugging_face_cache: Option<PathBuf>,
    /// Whether a repository that is not in the cache may be asked for on the hub.
    pub download: bool,
}

/// Why a model was not found, or not read.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A file or a folder is not a model that is understood.
    #[error("`{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// A folder has nothing that describes a model.
    #[error("`{}` has neither a `config.json` nor one `.gguf` file", .0.display())]
    EmptyFolder(PathBuf),
    /// A file is of no kind that describes a model.
    #[error("`{}` is none of `config.json`, `.gguf`, `.safetensors`", .0.display())]
    UnknownKind(PathBuf),
    /// A path leads nowhere.
    #[error("there is no file `{}`", .0.display())]
    NoFile(PathBuf),
    /// A name is neither that of a preset nor that of a file.
    #[error(transparent)]
    NoPreset(#[from] NoPreset),
    /// A repository is not in the cache, and was not asked for elsewhere.
    #[error("repository `{repository}` is not in the local cache of Hugging Face{}", looked_in(.cache.as_deref()))]
    NotCached {
        /// Its name.
        repository: String,
        /// The cache.
        cache: Option<PathBuf>,
    },
    /// The hub was asked, and did not give it.
    #[error("repository `{repository}` was not downloaded: {why}")]
    Hub {
        /// Its name.
        repository: String,
        /// What is wrong.
        why: String,
    },
}

fn looked_in(cache: Option<&Path>) -> String {
    cache.map_or_else(|| " (there is none)".to_owned(), |cache| format!(" (`{}`)", cache.display()))
}

type Result<T> = std::result::Result<T, ResolveError>;

/// Finds a model by what a person calls it: a path, a repository `owner/name`, or the name of a preset.
///
/// A path is what exists and has a separator or an ending; a repository in the cache comes before a preset of the same name, and a preset before a
/// folder.
///
/// # Errors
/// When there is no such model, or one that is not understood.
pub fn resolve(text: &str, places: &Places) -> Result<Model> {
    let path = Path::new(text);
    let names_a_file = is_file_name(path);
    if (names_a_file || text.contains(std::path::MAIN_SEPARATOR) || text.contains('/')) && path.exists() {
        return read_path(path);
    }
    let repository = repository(text);
    let cached = repository.and_then(|repository| cached_folder(places.hugging_face_cache.as_deref()?, repository));
    if let Some(folder) = cached {
        let model = read_path(&folder)?;
        return Ok(Model { name: shortened(text), ..model });
    }
    let no_preset = match find_preset(text) {
        Ok(preset) => {
            let read = preset.model().map_err(ReadError::from);
            return read.map_err(|source| ResolveError::Read { path: PathBuf::from(preset.name), source });
        }
        Err(no_preset) => no_preset,
    };
    if path.exists() {
        return read_path(path);
    }
    match repository {
        Some(repository) if places.download => download(repository, places),
        Some(repository) => {
            Err(ResolveError::NotCached { repository: repository.to_owned(), cache: places.hugging_face_cache.clone() })
        }
        None if names_a_file => Err(ResolveError::NoFile(path.to_owned())),
        None => Err(no_preset.into()),
    }
}

fn download(repository: &str, places: &Places) -> Result<Model> {
    let refused = |why: String| ResolveError::Hub { repository: repository.to_owned(), why };
    let path = hub::config(repository, places.hugging_face_cache.as_deref()).map_err(refused)?;
    let model = read_path(&path)?;
    Ok(Model { name: repository.to_owned(), ..model })
}

fn is_file_name(path: &Path) -> bool {
    ["json", "gguf", "safetensors"].iter().any(|ending| has_ending(path, ending))
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// Whether a text is of the form `owner/name`, of characters that the hub allows.
fn repository(text: &str) -> Option<&str> {
    let (owner, name) = text.split_once('/')?;
    let allowed = |part: &str| {
        let characters = part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        !part.is_empty() && part.len() <= 96 && !part.starts_with('.') && !part.contains("..") && characters
    };
    (allowed(owner) && allowed(name)).then_some(text)
}

/// The folder of a repository's newest snapshot in the cache.
fn cached_folder(cache: &Path, repository: &str) -> Option<PathBuf> {
    let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
    let commit = fs::read_to_string(folder.join("refs").join("main")).ok()?;
    let commit = commit.trim();
    let is_commit = !commit.is_empty() && commit.len() <= 64 && commit.chars().all(|c| c.is_ascii_hexdigit());
    let snapshot = folder.join("snapshots").join(is_commit.then_some(commit)?);
    snapshot.is_dir().then_some(snapshot)
}

/// The model of a file or a folder.
///
/// # Errors
/// When it is none, or not understood.
pub fn read_path(path: &Path) -> Result<Model> {
    if path.is_dir() {
        return read_folder(path);
    }
    if !path.exists() {
        return Err(ResolveError::NoFile(path.to_owned()));
    }
    let beside = path.parent().unwrap_or(Path::new(""));
    if has_ending(path, "gguf") {
        return at(path, read_gguf(path));
    }
    if has_ending(path, "safetensors") {
        let model = read_configuration(&beside.join("config.json"))?;
        return at(path, add_tensors(model, &[path.to_owned()]));
    }
    if path.to_string_lossy().ends_with(".safetensors.index.json") {
        return read_folder(beside);
    }
    if has_ending(path, "json") { read_configuration(path) } else { Err(ResolveError::UnknownKind(path.to_owned())) }
}

fn at(path: &Path, read: std::result::Result<Model, ReadError>) -> Result<Model> {
    read.map_err(|source| ResolveError::Read { path: path.to_owned(), source })
}

/// A configuration, called as its folder is.
fn read_configuration(path: &Path) -> Result<Model> {
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = folder.unwrap_or_else(|| "config.json".to_owned());
    let read = || read_config(&shortened(&name), BufReader::new(File::open(path)?));
    at(path, read())
}

/// The folder of a repository: its configuration, and the bytes of its tensors where they are there.
fn read_folder(folder: &Path) -> Result<Model> {
    let configuration = folder.join("config.json");
    if !configuration.exists() {
        let gguf = only_gguf(folder).ok_or_else(|| ResolveError::EmptyFolder(folder.to_owned()))?;
        return at(&gguf, read_gguf(&gguf));
    }
    let model = read_configuration(&configuration)?;
    let index = folder.join("model.safetensors.index.json");
    let files = if index.exists() {
        let read = || Ok(files_of_index(BufReader::new(File::open(&index)?))?);
        let names = read().map_err(|source| ResolveError::Read { path: index.clone(), source })?;
        names.into_iter().map(|name| folder.join(name)).collect()
    } else {
        vec![folder.join("model.safetensors")]
    };
    // A cache may hold the configuration alone, or some of the files.
    if files.iter().all(|file| file.exists()) { at(folder, add_tensors(model, &files)) } else { Ok(model) }
}

/// The one model in GGUF form in a folder; of a model in several files, the first.
fn only_gguf(folder: &Path) -> Option<PathBuf> {
    let is_first = |path: &PathBuf| match split_name(path) {
        Some(split) => split.number == 1,
        None => has_ending(path, "gguf"),
    };
    let mut files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(is_first);
    let first = files.next()?;
    files.next().is_none().then_some(first)
}

/// The name of one of several files: `<stem>-00001-of-00003.gguf`.
struct SplitName {
    stem: String,
    number: u64,
    of: u64,
}

fn split_name(path: &Path) -> Option<SplitName> {
    let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
    let (rest, of) = name.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    Some(SplitName { stem: stem.to_owned(), number: number.parse().ok()?, of: of.parse().ok()? })
}

fn read_gguf(path: &Path) -> std::result::Result<Model, ReadError> {
    let mut parts = GgufParts::default();
    let mut add = |path: &Path| -> std::result::Result<(), ReadError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(parts.add(BufReader::new(file), Some(length))?)
    };
    let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    match split_name(path) {
        Some(SplitName { stem, of, .. }) if of <= MAX_PARTS => {
            for number in 1..=of {
                add(&path.with_file_name(format!("{stem}-{number:05}-of-{of:05}.gguf")))?;
            }
            Ok(parts.model(&shortened(&stem))?)
        }
        _ => {
            add(path)?;
            Ok(parts.model(&shortened(&name))?)
        }
    }
}

/// More files than any model is in.
const MAX_PARTS: u64 = 1000;

/// What the headers of a model's files add to its configuration.
fn add_tensors(mut model: Model, files: &[PathBuf]) -> std::result::Result<Model, ReadError> {
    let mut tensors = Tensors::default();
    for path in files {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        tensors.merge(&Tensors::read(BufReader::new(file), Some(length))?);
    }
    model.stored_bytes = Some(tensors.bytes);
    if let Some(format) = tensors.only_format() {
        model.stored = Some(Precision::uniform(&model, WeightFormat::plain(format)));
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    const CONFIG: &str = r#"{"model_type":"llama","hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,
        "num_attention_heads":4,"num_key_value_heads":2,"vocab_size":100}"#;

    fn write(path: &Path, text: impl AsRef<[u8]>) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn places(cache: &Path) -> Places {
        Places { hugging_face_cache: Some(cache.to_owned()), download: false }
    }

    #[test]
    fn a_repository_in_the_cache_is_read_where_its_reference_leads() {
        let cache = tempfile::tempdir().unwrap();
        let repository = cache.path().join("models--some--model");
        write(&repository.join("refs/main"), "0123abcd\n");
        write(&repository.join("snapshots/0123abcd/config.json"), CONFIG);
        let model = resolve("some/model", &places(cache.path())).unwrap();
        assert_eq!((model.name.as_str(), model.hidden, model.stored_bytes), ("some/model", 64, None));
        write(&repository.join("refs/main"), "../../../etc");
        let error = resolve("some/model", &places(cache.path())).unwrap_err();
        assert!(matches!(error, ResolveError::NotCached { .. }), "{error}");
        assert!(matches!(resolve("a/../b", &places(cache.path())), Err(ResolveError::NoPreset(_))));
    }

    #[test]
    fn a_folder_of_safetensors_has_exact_bytes() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("config.json"), CONFIG);
        let path = folder.path().to_str().unwrap();
        assert_eq!(resolve(path, &Places::default()).unwrap().stored, None);
        let header = r#"{"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}}"#;
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 12]].concat();
        write(&folder.path().join("model-00001-of-00002.safetensors"), &file);
        write(
            &folder.path().join("model.safetensors.index.json"),
            r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#,
        );
        assert_eq!(resolve(path, &Places::default()).unwrap().stored_bytes, None, "a file is missing");
        write(&folder.path().join("model-00002-of-00002.safetensors"), &file);
        let model = resolve(path, &Places::default()).unwrap();
        assert_eq!(model.stored_bytes, Some(24));
        assert_eq!(model.stored.unwrap().embedding.element, DType::F16);
        write(&folder.path().join("model-00002-of-00002.safetensors"), &file[..file.len() - 1]);
        let error = resolve(path, &Places::default()).unwrap_err().to_string();
        assert!(error.contains("it is truncated"), "{error}");
    }

    #[test]
    fn what_is_not_found_says_where_it_was_looked_for() {
        let message = |text: &str| resolve(text, &Places::default()).unwrap_err().to_string();
        assert_eq!(
            message("qwen3-8bb"),
            "`qwen3-8bb` is no model that ships with rooflab; did you mean qwen3-8b or qwen3-4b or qwen3-14b?"
        );
        assert_eq!(
            message("nobody/nothing"),
            "repository `nobody/nothing` is not in the local cache of Hugging Face (there is none)"
        );
        assert_eq!(message("no-such.gguf"), "there is no file `no-such.gguf`");
        assert!(message("llama-3.1").starts_with("`llama-3.1` may be llama-3.1-8b, llama-3.1-70b"));
        assert!(resolve("mistral-7b", &Places::default()).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let empty = message(folder.path().to_str().unwrap());
        assert!(empty.ends_with("has neither a `config.json` nor one `.gguf` file"), "{empty}");
    }
}
