//! A block that runs: its warps take turns until all of them have ended.

use super::barrier::{BARRIERS, Barrier};
use super::lanes::{Block, Lanes};
use super::launch::Shape;
use super::random::Random;
use super::schedule::Turn;
use super::spin::Quiet;
use super::warp::{Group, LANES, Warp};
use crate::counters::Counters;
use crate::fault::{Cause, Fault, Problem, Space, Stuck, What};
use crate::instruction::Operation;
use crate::machine::{Meeting, Phases};
use crate::memory::{Proxy, Races, Scratch, View};

/// A block and its warps.
pub(super) struct Run<'l> {
    pub(super) block: Block<'l>,
    pub(super) warps: Vec<Warp>,
    pub(super) barriers: [Barrier; BARRIERS],
    /// Threads that have not ended.
    pub(super) alive: u32,
    /// The warp whose turn it is in the plain schedule.
    pub(super) current: usize,
    quiet: Quiet,
}

/// What an instruction does to the group that executes it.
enum Step {
    /// It goes on, at this instruction, with these lanes.
    On(u32, u32),
    /// It has been put away: it waits, it has ended, or its lanes go different ways.
    Away,
}

impl Step {
    fn on(pc: u32, lanes: u32) -> Self {
        if lanes == 0 { Self::Away } else { Self::On(pc, lanes) }
    }
}

impl<'l> Run<'l> {
    pub(super) fn new(shape: &'l Shape<'l>, number: u64) -> Self {
        let [x, y, _] = shape.grid.map(u64::from);
        let index = [number % x, number / x % y, number / (x * y)].map(|index| index as u32);
        let kernel = shape.kernel;
        let shared_bytes = shape.dynamic_start + shape.dynamic_shared;
        let block = Block {
            index,
            number,
            launch: shape,
            shared: Scratch::new(Space::Shared, shared_bytes),
            races: shape.options.races.then(|| Races::new(shared_bytes)),
            phases: Phases::default(),
            proxy: if kernel.has_proxy { Proxy::new(shared_bytes, shape.threads()) } else { Proxy::default() },
            fetches: Vec::new(),
            outbox: Vec::new(),
            meeting: Meeting::new(shape.threads()),
            pc: 0,
            global: View::new(&shape.memory),
            counters: Counters::default(),
            ticks: 0,
            events: 0,
            epoch: 0,
            random: Random::new(shape.seed().wrapping_add(number.wrapping_mul(0xd134_2543_de82_ef95))),
        };
        let threads = shape.threads();
        let warps = (0..threads.div_ceil(LANES as u32))
            .map(|warp| Warp::new(kernel, warp, threads - warp * LANES as u32))
            .collect();
        let barriers = [Barrier::default(); BARRIERS];
        Self { block, warps, barriers, alive: threads, current: 0, quiet: Quiet::default() }
    }

    /// Lets a group go on for its turn. Returns whether there was one that could.
    pub(super) fn go_on(&mut self) -> Result<bool, Box<Fault>> {
        let preemptive = self.block.launch.is_preemptive();
        if preemptive && !self.block.fetches.is_empty() && self.block.random.below(4) == 0 {
            self.wait_no_longer()?;
        }
        let turn = if preemptive { self.next_random() } else { self.next_plain() };
        turn.map_or(Ok(false), |turn| self.take_turn(turn).map(|()| true))
    }

    /// Lets something come that was on its way. Returns whether there was anything.
    pub(super) fn wait_no_longer(&mut self) -> Result<bool, Box<Fault>> {
        self.arrive_late().map_err(|problem| self.fault(0, 0, 1, problem))
    }

    /// What it came to when all have ended.
    pub(super) fn finish(mut self) -> Result<Counters, Box<Fault>> {
        self.finish_copies().map_err(|problem| self.fault(0, 0, 1, problem))?;
        Ok(self.block.counters)
    }

    /// Lanes of a warp, to execute something.
    pub(super) fn lanes(&mut self, warp: usize, mask: u32) -> Lanes<'_, 'l> {
        Lanes { warp: &mut self.warps[warp], block: &mut self.block, mask }
    }

    fn take_turn(&mut self, turn: Turn) -> Result<(), Box<Fault>> {
        let Turn { warp, mut group, quantum, meets_at } = turn;
        let started = self.block.ticks;
        let executed = self.block.counters.instructions;
        let mut result = Ok(());
        loop {
            if self.block.ticks - started >= quantum {
                self.warps[warp].exhausted = true;
                self.put_back(warp, group);
                break;
            }
            if group.pc >= meets_at {
                self.put_back(warp, group);
                break;
            }
            self.block.ticks += 1;
            let step = self.step(warp, group);
            let step = match self.warps[warp].trampled.take() {
                Some(register) if step.is_ok() => Err(Problem::held(register)),
                _ => step,
            };
            match step {
                Ok(Step::On(pc, lanes)) => group = Group { pc, lanes, wait: None },
                Ok(Step::Away) => break,
                Err(problem) => {
                    result = Err(self.fault(warp, group.pc, group.lanes, problem));
                    break;
                }
            }
        }
        result?;
        // Turns without any lane count too, so that nothing goes on for ever.
        let spent = (self.block.counters.instructions - executed).max(self.block.ticks - started);
        self.block.launch.spend(spent).map_err(|cause| self.fault_anywhere(cause))
    }

    /// Puts a group back, together with one that is at the same instruction.
    pub(super) fn put_back(&mut self, warp: usize, group: Group) {
        let groups = &mut self.warps[warp].groups;
        match groups.iter_mut().find(|other| other.pc == group.pc && other.wait.is_none() && group.wait.is_none()) {
            Some(other) => other.lanes |= group.lanes,
            None => groups.push(group),
        }
    }

    /// Executes one instruction.
    fn step(&mut self, warp: usize, group: Group) -> Result<Step, Problem> {
        let kernel = self.block.launch.kernel;
        let Group { pc, lanes, .. } = group;
        self.block.pc = pc;
        let instruction = &kernel.code[pc as usize];
        let active = match instruction.guard {
            None => lanes,
            Some(guard) => {
                let predicate = crate::text::Source::Register(guard.predicate);
                self.lanes(warp, lanes).predicate(predicate, guard.negated)?
            }
        };
        self.block.counters.instructions += u64::from(active.count_ones());
        let rest = lanes & !active;
        match &instruction.operation {
            Operation::Plain(operation) => {
                if active != 0 {
                    operation.execute(&mut self.lanes(warp, active))?;
                }
            }
            Operation::Branch { target } => return Ok(self.branch(warp, group, active, *target)),
            Operation::Exit if active != 0 => {
                if rest != 0 {
                    self.put_back(warp, Group { pc: pc + 1, lanes: rest, wait: None });
                }
                self.end(warp, active)?;
                return Ok(Step::Away);
            }
            Operation::Trap if active != 0 => {
                return Err(Problem::of_lane(active.trailing_zeros() as usize, Cause::Trap));
            }
            Operation::Collective(collective) if active != 0 => {
                let done = self.meet(warp, pc, active, collective.as_ref())?;
                return Ok(Step::on(pc + 1, done | rest));
            }
            Operation::Barrier(barrier) if active != 0 => {
                let done = self.arrive(warp, pc, active, barrier)?;
                return Ok(Step::on(pc + 1, done | rest));
            }
            Operation::Phase(wait) if active != 0 => {
                let done = self.wait_for_phase(warp, pc, active, wait)?;
                return Ok(Step::on(pc + 1, done | rest));
            }
            Operation::Meet { waits } if active != 0 => {
                let done = self.meet_cluster(warp, pc, active, *waits);
                return Ok(Step::on(pc + 1, done | rest));
            }
            // Nothing, or nobody executes it.
            Operation::Nothing
            | Operation::Exit
            | Operation::Trap
            | Operation::Collective(_)
            | Operation::Barrier(_)
            | Operation::Phase(_)
            | Operation::Meet { .. } => {}
        }
        Ok(Step::On(pc + 1, lanes))
    }

    fn branch(&mut self, warp: usize, group: Group, taken: u32, target: u32) -> Step {
        let Group { pc, lanes, .. } = group;
        let backwards = target <= pc && taken != 0;
        if backwards && self.quiet.is_long(self.block.events, self.block.ticks) {
            let state = &mut self.warps[warp];
            let mut spin = std::mem::take(&mut state.spin);
            let in_circles = spin.look(state.registers(), taken, target, self.block.events);
            state.spin = spin;
            if in_circles {
                self.put_back(warp, Group { pc: target, lanes: taken, wait: None });
                if taken != lanes {
                    self.put_back(warp, Group { pc: pc + 1, lanes: lanes & !taken, wait: None });
                }
                return Step::Away;
            }
        }
        match taken {
            0 => Step::On(pc + 1, lanes),
            _ if taken == lanes => Step::On(target, lanes),
            _ => {
                self.put_back(warp, Group { pc: pc + 1, lanes: lanes & !taken, wait: None });
                self.put_back(warp, Group { pc: target, lanes: taken, wait: None });
                Step::Away
            }
        }
    }

    /// Lanes end, which may be what others waited for.
    fn end(&mut self, warp: usize, lanes: u32) -> Result<(), Problem> {
        self.warps[warp].alive &= !lanes;
        self.alive -= lanes.count_ones();
        self.block.events += 1;
        self.meet_again(warp)?;
        (0..BARRIERS).try_for_each(|number| self.complete(number))
    }

    /// Puts a waiting group to those that wait for the same at the same instruction.
    pub(super) fn put_away(&mut self, warp: usize, group: Group) {
        let groups = &mut self.warps[warp].groups;
        match groups.iter_mut().find(|other| other.pc == group.pc && other.wait == group.wait) {
            Some(other) => other.lanes |= group.lanes,
            None => groups.push(group),
        }
    }

    /// Where groups are that a condition holds for.
    pub(super) fn stuck(&self, condition: impl Fn(u32, &Group) -> bool) -> Vec<Stuck> {
        let kernel = self.block.launch.kernel;
        let of = |warp: &Warp, group: &Group| {
            let line = kernel.code[group.pc as usize].line;
            Stuck {
                thread: warp.index * LANES as u32 + group.lanes.trailing_zeros(),
                threads: group.lanes.count_ones(),
                line,
                text: kernel.line(line).to_owned(),
            }
        };
        let groups = self.warps.iter().flat_map(|warp| warp.groups.iter().map(move |group| (warp, group)));
        groups.filter(|(warp, group)| condition(warp.index, group)).map(|(warp, group)| of(warp, group)).collect()
    }

    /// What an instruction found wrong, with the place.
    pub(super) fn fault(&self, warp: usize, pc: u32, lanes: u32, problem: Problem) -> Box<Fault> {
        let found = *problem.0;
        let (warp, pc) = found.place.map_or((warp as u32, pc), |(warp, pc)| (warp, pc));
        let kernel = self.block.launch.kernel;
        let lane = found.lane.unwrap_or(lanes.trailing_zeros() as usize) as u32;
        let line = kernel.code[pc as usize].line;
        let cause = match found.what {
            What::Cause(cause) => cause,
            What::Unset(register) => Cause::Unset { name: kernel.register_name(register) },
            What::Held(register) => Cause::Held { name: kernel.register_name(register) },
            What::Unordered(register) => Cause::Unordered { name: kernel.register_name(register) },
        };
        Box::new(Fault {
            kernel: kernel.name.clone(),
            block: self.block.index,
            thread: Some(self.block.thread_index(warp * LANES as u32 + lane)),
            line,
            text: kernel.line(line).to_owned(),
            cause,
        })
    }

    pub(super) fn fault_anywhere(&self, cause: Cause) -> Box<Fault> {
        let (kernel, text) = (self.block.launch.kernel.name.clone(), String::new());
        Box::new(Fault { kernel, block: self.block.index, thread: None, line: 0, text, cause })
    }
}
