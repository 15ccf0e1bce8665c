//! Several programs in turn, as the operators of a model's step: no turn begins before the one before it has ended.
//!
//! Work: that of all turns. Bound: what bounds each, and the wait from one to the next.

use std::iter;

use crate::backend::variants::{known, naming};
use crate::backend::wgpu::gpu::{Buffer, Gpu};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::backend::{BackendError, Sequence, Turn};

/// Programs in turn. An iteration is as many pieces as it has turns, so that a step of any length goes into submissions of the usual one.
pub(in crate::backend::wgpu) struct InTurn {
    /// Each with the implementation that runs.
    members: Vec<(Box<dyn Program>, usize)>,
    turns: Vec<Turn>,
    /// The turn that comes next.
    next: usize,
    /// What every turn is said to write: operators of a model wait for one another, and these ones have nothing else in common.
    between: Buffer,
    names: Vec<String>,
}

impl InTurn {
    /// Programs that take turns, each in one of its implementations. The turns are of members that there are.
    pub(in crate::backend::wgpu) fn new(
        gpu: &Gpu,
        members: Vec<(Box<dyn Program>, usize)>,
        turns: Vec<Turn>,
    ) -> Result<Self, BackendError> {
        for (program, variant) in &members {
            known(program.variants(), *variant)?;
            if program.is_transfer(*variant) {
                return Err(BackendError::unsupported("the driver's own copies take no turns with kernels"));
            }
        }
        Ok(Self { members, turns, next: 0, between: gpu.buffer(16)?, names: Sequence::names() })
    }

    /// Lets everything before it in a pass end before anything after it begins.
    fn wait(&self, pass: &mut wgpu::ComputePass<'_>) {
        let written = wgpu::BufferTransition { buffer: &self.between.raw, state: wgpu::BufferUses::STORAGE_READ_WRITE };
        pass.transition_resources(iter::once(written), iter::empty());
    }
}

impl Program for InTurn {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn pieces(&self, _: usize) -> u64 {
        self.turns.len() as u64
    }

    fn pieces_are_alike(&self) -> bool {
        false
    }

    fn dispatch(&mut self, _: usize, turns: u64, pass: &mut wgpu::ComputePass<'_>) {
        for _ in 0..turns {
            let Turn { stage, iterations } = self.turns[self.next];
            self.next = (self.next + 1) % self.turns.len();
            self.wait(pass);
            let (program, variant) = &mut self.members[stage];
            program.dispatch_all(*variant, iterations * program.pieces(*variant), pass);
        }
    }

    /// Each by itself. That turns are taken in order and none is left out is what a test proves.
    fn verify(&mut self, _: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        for (program, variant) in &mut self.members {
            program.verify(*variant, bench).map_err(|error| naming(error, &program.variants()[*variant]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Kernel;
    use crate::backend::wgpu::adapters::Survey;
    use crate::backend::wgpu::timing::{Clock, Timed};
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Writes down which of several it is, and how many iterations it was told to make.
    struct Noted {
        name: usize,
        taken: Rc<RefCell<Vec<(usize, u64)>>>,
        names: [String; 1],
    }

    impl Program for Noted {
        fn variants(&self) -> &[String] {
            &self.names
        }

        fn most_at_once(&self, _: usize) -> u64 {
            2
        }

        fn dispatch(&mut self, _: usize, iterations: u64, _: &mut wgpu::ComputePass<'_>) {
            self.taken.borrow_mut().push((self.name, iterations));
        }

        fn verify(&mut self, _: usize, _: &Bench<'_>) -> Result<(), BackendError> {
            if self.name == 0 { Ok(()) } else { Err(BackendError::WrongResult("1 instead of 2".to_owned())) }
        }
    }

    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn every_turn_is_taken_in_order_however_submissions_are_cut() {
        let adapters = Survey::take().adapters().unwrap();
        let gpu = Gpu::open(adapters.last().unwrap(), false).unwrap();
        let clock = Clock::new(&gpu).unwrap();
        let taken = Rc::default();
        let member = |name| {
            let names = [format!("member {name}")];
            (Box::new(Noted { name, taken: Rc::clone(&taken), names }) as Box<dyn Program>, 0)
        };
        let turns = [(0, 1), (1, 3), (0, 2)].map(|(stage, iterations)| Turn { stage, iterations });
        let program = InTurn::new(&gpu, vec![member(0), member(1)], turns.to_vec()).unwrap();
        let mut kernel = Timed::new(Bench { gpu: &gpu, clock: &clock }, Box::new(program));
        assert_eq!(
            kernel.verify(0),
            Err(BackendError::WrongResult("in turn: member 1: 1 instead of 2".to_owned())),
            "whose result is wrong is said"
        );
        for iterations in [1, 5, 2] {
            taken.borrow_mut().clear();
            kernel.run(0, iterations).unwrap();
            // No more than two at once.
            let step = [(0, 1), (1, 2), (1, 1), (0, 2)];
            let expected: Vec<(usize, u64)> = (0..iterations).flat_map(|_| step).collect();
            assert_eq!(*taken.borrow(), expected);
        }
        let unknown = InTurn::new(&gpu, vec![(member(0).0, 1)], turns.to_vec());
        assert!(matches!(unknown.map(|_| ()), Err(BackendError::Unsupported { .. })));
    }
}
