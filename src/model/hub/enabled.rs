//! With the feature `hub`: the file is fetched into the cache.

use std::path::{Path, PathBuf};

use hf_hub::Cache;
use hf_hub::api::sync::ApiBuilder;

/// Fetches a repository's `config.json` into the cache, and says where it lies.
pub(in crate::model) fn config(repository: &str, cache: Option<&Path>) -> Result<PathBuf, String> {
    let cache = cache.ok_or("there is no cache to keep it in")?;
    let api = ApiBuilder::from_cache(Cache::new(cache.to_owned())).with_progress(false).build();
    let api = api.map_err(|error| error.to_string())?;
    api.model(repository.to_owned()).get("config.json").map_err(|error| error.to_string())
}
