//! Several workloads as one kernel: the operators of a model's step, one after another, each on memory of its own.

use super::BackendError;
use crate::workload::Workload;

/// What runs one after another. An iteration takes all turns once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The workloads. All are in memory at the same time.
    pub stages: Vec<Stage>,
    /// The turns they take, in order. After each, everybody waits for everybody, as an engine does between operators.
    pub turns: Vec<Turn>,
}

/// A workload within a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it runs.
    pub workload: Workload,
    /// The implementation, by its place in [`super::Kernel::variants`] of the workload alone.
    pub variant: usize,
}

/// A turn of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The stage, by its place.
    pub stage: usize,
    /// Its iterations, which go on where those of its last turn ended.
    pub iterations: u64,
}

impl Sequence {
    /// Refuses what no backend could run.
    ///
    /// # Errors
    /// A turn is of no stage, or nothing is to be run.
    pub fn checked(&self) -> Result<&Self, BackendError> {
        if let Some(turn) = self.turns.iter().find(|turn| turn.stage >= self.stages.len()) {
            let count = self.stages.len();
            return Err(BackendError::unsupported(format!("there is no stage {}; there are {count}", turn.stage)));
        }
        if self.turns.iter().all(|turn| turn.iterations == 0) {
            return Err(BackendError::unsupported("a sequence without iterations"));
        }
        Ok(self)
    }

    /// What its only implementation is called.
    #[must_use]
    pub fn names() -> Vec<String> {
        vec!["in turn".to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Overhead;
    use crate::workload::Kind;

    #[test]
    fn what_cannot_run_is_refused() {
        let workload = Workload { kind: Kind::Empty { overhead: Overhead::Launch }, lanes: 1 };
        let of = |stage, iterations| Sequence {
            stages: vec![Stage { workload, variant: 0 }],
            turns: vec![Turn { stage, iterations }],
        };
        assert!(of(0, 1).checked().is_ok());
        for wrong in [of(1, 1), of(0, 0), Sequence { turns: Vec::new(), ..of(0, 1) }] {
            assert!(matches!(wrong.checked(), Err(BackendError::Unsupported { .. })));
        }
    }
}
