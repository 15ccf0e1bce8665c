//! Which ceilings a run is asked for: patterns over their keys, such as `memory.*` or `compute.vector.f32@core`.

use globset::{Glob, GlobMatcher};

use super::catalogue::{Probe, probes};
use crate::resource::{Key, Scope};

/// A choice of ceilings.
#[derive(Clone, Debug)]
pub struct Selection {
    patterns: Vec<(String, GlobMatcher)>,
}

/// Why a choice is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// The pattern is malformed.
    #[error("`{pattern}` is not a pattern: {cause}")]
    Malformed {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The pattern fits no ceiling.
    #[error("`{pattern}` matches no ceiling")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
}

impl Selection {
    /// Everything in the catalogue.
    #[must_use]
    pub const fn all() -> Self {
        Self { patterns: Vec::new() }
    }

    /// The ceilings whose keys match any of the patterns; all when there are none.
    ///
    /// # Errors
    /// When a pattern is malformed or matches nothing.
    pub fn new(patterns: &[String]) -> Result<Self, SelectionError> {
        let compile = |pattern: &String| {
            let glob = Glob::new(pattern).map_err(|error| SelectionError::Malformed {
                pattern: pattern.clone(),
                cause: error.kind().to_string(),
            })?;
            let matcher = glob.compile_matcher();
            if all_keys().any(|key| matcher.is_match(key.to_string())) {
                Ok((pattern.clone(), matcher))
            } else {
                Err(SelectionError::NoMatch { pattern: pattern.clone() })
            }
        };
        Ok(Self { patterns: patterns.iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// Whether nothing in particular was asked for.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a ceiling is chosen.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        let text = key.to_string();
        self.patterns.is_empty() || self.patterns.iter().any(|(_, matcher)| matcher.is_match(&text))
    }

    /// The chosen keys of a probe in a scope.
    pub(super) fn keys(&self, probe: &Probe, scope: Scope) -> Vec<Key> {
        probe.keys(scope).filter(|&key| self.contains(key)).collect()
    }
}

/// Every key of the catalogue.
fn all_keys() -> impl Iterator<Item = Key> {
    probes().flat_map(|probe| probe.scopes().flat_map(|scope| probe.keys(scope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let selection = Selection::new(&patterns).unwrap();
        all_keys().filter(|&key| selection.contains(key)).map(|key| key.to_string()).collect()
    }

    #[test]
    fn patterns_choose_by_key() {
        assert_eq!(chosen(&["memory.dram.read"]), ["memory.dram.read"]);
        assert_eq!(chosen(&["memory.dram.read@core"]), ["memory.dram.read@core"]);
        assert_eq!(chosen(&["compute.vector.f{32,64}"]), ["compute.vector.f32", "compute.vector.f64"]);
        let overheads = ["overhead.launch", "overhead.graph_launch", "overhead.wake", "overhead.peer_send"];
        assert_eq!(chosen(&["overhead.*"]), overheads);
        assert_eq!(chosen(&[]).len(), all_keys().count());
    }

    #[test]
    fn patterns_that_choose_nothing_are_errors() {
        assert!(matches!(Selection::new(&["dram".to_owned()]), Err(SelectionError::NoMatch { .. })));
        assert!(matches!(Selection::new(&["a[".to_owned()]), Err(SelectionError::Malformed { .. })));
    }
}
