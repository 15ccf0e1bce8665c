//! Several programs in turn, as the operators of a model's step: a queue does one after the other. Launched one by one, or captured as a graph and launched as one.
//!
//! Work: that of all turns. Bound: what bounds each, what it takes to go from one to the next, and one by one, the host that launches them.

use std::hash::{DefaultHasher, Hasher};

use crate::backend::cuda::gpu::Gpu;
use crate::backend::cuda::graph::Graph;
use crate::backend::cuda::timing::Program;
use crate::backend::variants::{known, naming};
use crate::backend::{BackendError, Sequence, Turn};

/// The place of the implementation that launches a graph.
const GRAPH: usize = 1;

/// A program that takes turns with others, in one of its implementations.
pub(in crate::backend::cuda) struct Member<'device> {
    program: Box<dyn Program + 'device>,
    variant: usize,
}

impl<'device> Member<'device> {
    pub(in crate::backend::cuda) fn new(
        mut program: Box<dyn Program + 'device>,
        variant: usize,
    ) -> Result<Self, BackendError> {
        known(program.variants(), variant)?;
        program.keep_only(variant);
        Ok(Self { program, variant })
    }

    fn name(&self) -> &str {
        &self.program.variants()[self.variant]
    }

    /// A number that says what its launches left behind.
    fn left_behind(&self, gpu: &Gpu) -> Result<u64, BackendError> {
        let mut hasher = DefaultHasher::new();
        if let Some(results) = self.program.results(self.variant) {
            gpu.read(results, |_, piece| {
                hasher.write(piece);
                Ok(())
            })?;
        }
        Ok(hasher.finish())
    }
}

/// Programs in turn.
pub(in crate::backend::cuda) struct InTurn<'device> {
    gpu: &'device Gpu,
    members: Vec<Member<'device>>,
    turns: Vec<Turn>,
    /// All turns together, once they were wanted so.
    graph: Option<Graph>,
    /// Whether each is right by itself.
    verified: bool,
    names: Vec<String>,
}

impl<'device> InTurn<'device> {
    /// Programs that take turns. The turns are of members that there are.
    pub(in crate::backend::cuda) fn new(gpu: &'device Gpu, members: Vec<Member<'device>>, turns: Vec<Turn>) -> Self {
        let mut names = Sequence::names();
        names.push("as a graph".to_owned());
        Self { gpu, members, turns, graph: None, verified: false, names }
    }

    /// Enqueues all turns.
    fn take_turns(&mut self) -> Result<(), BackendError> {
        for Turn { stage, iterations } in &self.turns {
            let Member { program, variant } = &mut self.members[*stage];
            program.launch_all(*variant, *iterations)?;
        }
        Ok(())
    }

    fn renew(&mut self) -> Result<(), BackendError> {
        self.members.iter_mut().try_for_each(|Member { program, variant }| program.renew(*variant))
    }

    /// What every member's launches left behind.
    fn left_behind(&self) -> Result<Vec<u64>, BackendError> {
        self.members.iter().map(|member| member.left_behind(self.gpu)).collect()
    }

    /// Has the driver make a graph of all turns, if it has not yet. What went wrong before may go well later: memory may have become free.
    fn make(&mut self) -> Result<(), BackendError> {
        if self.graph.is_some() {
            return Ok(());
        }
        let gpu = self.gpu;
        // Some code is loaded when it first runs, and must not be while launches are captured.
        self.take_turns()?;
        gpu.wait()?;
        self.renew()?;
        let graph = Graph::of(gpu, || self.take_turns()).and_then(|graph| graph.bring(gpu).map(|()| graph));
        self.graph = Some(graph.map_err(refused)?);
        Ok(())
    }

    /// Each by itself. What operators of a step leave behind depends on no other one's.
    fn verify_members(&mut self) -> Result<(), BackendError> {
        for member in &mut self.members {
            let verified = member.program.verify(member.variant);
            verified.map_err(|error| naming(error, member.name()))?;
        }
        self.verified = true;
        Ok(())
    }

    /// Whether a graph leaves behind, bit by bit, what the same launches do one by one.
    fn verify_graph(&mut self) -> Result<(), BackendError> {
        self.make()?;
        self.renew()?;
        self.take_turns()?;
        let one_by_one = self.left_behind()?;
        self.renew()?;
        self.launch(GRAPH, 1)?;
        let together = self.left_behind()?;
        let differs = one_by_one.iter().zip(&together).position(|(one_by_one, together)| one_by_one != together);
        match differs.map(|place| &self.members[place]) {
            None => Ok(()),
            Some(member) => Err(BackendError::WrongResult(format!(
                "{}: other results than those of the same launches one by one",
                member.name()
            ))),
        }
    }
}

/// What a driver says against a graph is no failure: launches can be made one by one.
fn refused(error: BackendError) -> BackendError {
    match error {
        BackendError::System(said) => BackendError::unsupported(format!("the driver makes no graph of it: {said}")),
        other => other,
    }
}

impl Program for InTurn<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn is_graph(&self, variant: usize) -> bool {
        variant == GRAPH
    }

    fn prepare(&mut self, variant: usize, _: u64) -> Result<(), BackendError> {
        for Turn { stage, iterations } in &self.turns {
            let Member { program, variant } = &mut self.members[*stage];
            program.prepare(*variant, *iterations)?;
        }
        if variant == GRAPH { self.make() } else { Ok(()) }
    }

    fn launch(&mut self, variant: usize, _: u64) -> Result<(), BackendError> {
        match (variant, &self.graph) {
            (GRAPH, Some(graph)) => graph.launch(self.gpu),
            (GRAPH, None) => Err(BackendError::System("a graph that was not made ready".to_owned())),
            _ => self.take_turns(),
        }
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        if !self.verified {
            self.verify_members()?;
        }
        if variant == GRAPH { self.verify_graph() } else { Ok(()) }
    }
}
