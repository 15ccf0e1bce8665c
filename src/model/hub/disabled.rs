//! Without the feature `hub`: nothing is asked for.

use std::path::{Path, PathBuf};

/// Says that the hub cannot be asked.
pub(in crate::model) fn config(_: &str, _: Option<&Path>) -> Result<PathBuf, String> {
    Err("this rooflab was built without the feature `hub`".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::model::{Places, resolve};

    #[test]
    fn a_hub_that_cannot_be_asked_is_a_clear_error() {
        let places = Places { hugging_face_cache: None, download: true };
        assert_eq!(
            resolve("nobody/nothing", &places).unwrap_err().to_string(),
            "repository `nobody/nothing` was not downloaded: this rooflab was built without the feature `hub`"
        );
    }
}
