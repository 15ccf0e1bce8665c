//! What the lanes of a warp do together: exchanges of values, votes, sums.

use super::{Collective, Operation, Plain, collective};
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::{LANES, Lanes, Row, lanes_of};
use crate::text::{ParseError, Register, Source, Statement};

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Operation, ParseError> {
    if !s.flag("sync") {
        return Err(s.error("only the form with `.sync` is supported"));
    }
    match s.name {
        "shfl" => collective(s, decode_shuffle),
        "vote" => collective(s, decode_vote),
        "redux" => collective(s, decode_reduce),
        _ => collective(s, decode_match),
    }
}

/// From which lane a value is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Debug)]
struct Shuffle {
    way: Way,
    to: Register,
    /// Whether the lane was in range.
    found: Option<Register>,
    value: Source,
    by: Source,
    clamp: Source,
    members: Source,
}

fn decode_shuffle(s: &mut Statement<'_>) -> Result<Shuffle, ParseError> {
    let ways = [("up", Way::Up), ("down", Way::Down), ("bfly", Way::Butterfly), ("idx", Way::Index)];
    let way = s.require("mode", &ways)?;
    s.flag("b32");
    let (to, found) = s.register_pair()?;
    let [value, by, clamp, members] = s.sources()?;
    Ok(Shuffle { way, to, found, value, by, clamp, members })
}

impl Collective for Shuffle {
    fn members(&self, lanes: &Lanes<'_, '_>) -> Result<Row, Problem> {
        lanes.read(self.members)
    }

    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let (value, by, clamp) = (lanes.read(self.value)?, lanes.read(self.by)?, lanes.read(self.clamp)?);
        let mut from = [(0, false); LANES];
        for lane in lanes_of(lanes.mask) {
            from[lane] = self.source_of(lane as u32, by[lane] as u32 & 31, clamp[lane] as u32);
        }
        lanes.write(self.to, |lane| value[from[lane].0 as usize]);
        // What a lane that is not there would give is nothing that may be used.
        let absent = lanes_of(lanes.mask).filter(|lane| lanes.mask >> from[*lane].0 & 1 == 0);
        let absent = absent.fold(0, |mask, lane| mask | 1 << lane);
        lanes.warp.mark(self.to, absent, false);
        if let Some(found) = self.found {
            lanes.write(found, |lane| u64::from(from[lane].1));
        }
        Ok(())
    }
}

impl Shuffle {
    /// The lane whose value a lane takes, and whether it is in range: otherwise it is the lane itself.
    fn source_of(&self, lane: u32, by: u32, clamp: u32) -> (u32, bool) {
        let (bound, segment) = (clamp & 31, clamp >> 8 & 31);
        let least = lane & segment;
        let most = least | (bound & !segment);
        let (source, in_range) = match self.way {
            Way::Up => (lane.wrapping_sub(by), lane >= by && lane - by >= most),
            Way::Down => (lane + by, lane + by <= most),
            Way::Butterfly => (lane ^ by, lane ^ by <= most),
            Way::Index => {
                let source = least | (by & !segment);
                (source, source <= most)
            }
        };
        if in_range { (source, true) } else { (lane, false) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    All,
    Any,
    Uniform,
    Ballot,
}

#[derive(Debug)]
struct Vote {
    ask: Ask,
    to: Register,
    predicate: (Source, bool),
    members: Source,
}

fn decode_vote(s: &mut Statement<'_>) -> Result<Vote, ParseError> {
    let asks = [("all", Ask::All), ("any", Ask::Any), ("uni", Ask::Uniform), ("ballot", Ask::Ballot)];
    let ask = s.require("mode", &asks)?;
    s.ignore(&["pred", "b32"]);
    Ok(Vote { ask, to: s.register()?, predicate: s.predicate()?, members: s.source()? })
}

impl Collective for Vote {
    fn members(&self, lanes: &Lanes<'_, '_>) -> Result<Row, Problem> {
        lanes.read(self.members)
    }

    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let holds = lanes.predicate(self.predicate.0, self.predicate.1)?;
        let all = holds == lanes.mask;
        let result = match self.ask {
            Ask::All => u64::from(all),
            Ask::Any => u64::from(holds != 0),
            Ask::Uniform => u64::from(all || holds == 0),
            Ask::Ballot => u64::from(holds),
        };
        lanes.write(self.to, |_| result);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reduce {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
}

#[derive(Debug)]
struct Redux {
    reduce: Reduce,
    signed: bool,
    to: Register,
    value: Source,
    members: Source,
}

fn decode_reduce(s: &mut Statement<'_>) -> Result<Redux, ParseError> {
    let reduces = [
        ("add", Reduce::Add),
        ("min", Reduce::Min),
        ("max", Reduce::Max),
        ("and", Reduce::And),
        ("or", Reduce::Or),
        ("xor", Reduce::Xor),
    ];
    let reduce = s.require("operation", &reduces)?;
    let kind = s.kind()?;
    if !matches!(kind, Kind::U32 | Kind::S32 | Kind::B32) {
        return Err(s.error("the type is not supported"));
    }
    Ok(Redux { reduce, signed: kind.is_signed(), to: s.register()?, value: s.source()?, members: s.source()? })
}

impl Collective for Redux {
    fn members(&self, lanes: &Lanes<'_, '_>) -> Result<Row, Problem> {
        lanes.read(self.members)
    }

    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let row = lanes.read(self.value)?;
        let values = lanes_of(lanes.mask).map(|lane| row[lane] as u32);
        let smaller = |a: u32, b: u32| if self.signed { (a as i32) < b as i32 } else { a < b };
        let joined = values.reduce(|a, b| match self.reduce {
            Reduce::Add => a.wrapping_add(b),
            Reduce::Min => {
                if smaller(a, b) {
                    a
                } else {
                    b
                }
            }
            Reduce::Max => {
                if smaller(a, b) {
                    b
                } else {
                    a
                }
            }
            Reduce::And => a & b,
            Reduce::Or => a | b,
            Reduce::Xor => a ^ b,
        });
        let result = u64::from(joined.unwrap_or_default());
        lanes.write(self.to, |_| result);
        Ok(())
    }
}

#[derive(Debug)]
struct Match {
    /// Whether all must agree, otherwise the lanes that do are asked for.
    all: bool,
    wide: bool,
    to: Register,
    agree: Option<Register>,
    value: Source,
    members: Source,
}

fn decode_match(s: &mut Statement<'_>) -> Result<Match, ParseError> {
    let all = s.require("mode", &[("all", true), ("any", false)])?;
    let wide = s.kind()? == Kind::B64;
    let (to, agree) = s.register_pair()?;
    Ok(Match { all, wide, to, agree, value: s.source()?, members: s.source()? })
}

impl Collective for Match {
    fn members(&self, lanes: &Lanes<'_, '_>) -> Result<Row, Problem> {
        lanes.read(self.members)
    }

    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let mask = lanes.mask;
        let width = if self.wide { u64::MAX } else { 0xffff_ffff };
        let row = lanes.read(self.value)?.map(|value| value & width);
        let equal =
            |lane: usize| lanes_of(mask).filter(|other| row[*other] == row[lane]).fold(0, |m, other| m | 1 << other);
        let all_equal = |lane: usize| equal(lane) == mask;
        let result = |lane: usize| if self.all && !all_equal(lane) { 0 } else { u64::from(equal(lane)) };
        lanes.write(self.to, result);
        if let Some(agree) = self.agree {
            lanes.write(agree, |lane| u64::from(all_equal(lane)));
        }
        Ok(())
    }
}

/// `bar.warp.sync`: lanes wait for one another.
#[derive(Debug)]
pub(super) struct WarpBarrier {
    members: Source,
}

pub(super) fn decode_warp_barrier(s: &mut Statement<'_>) -> Result<WarpBarrier, ParseError> {
    s.ignore(&["warp", "sync"]);
    Ok(WarpBarrier { members: s.source()? })
}

impl Collective for WarpBarrier {
    fn members(&self, lanes: &Lanes<'_, '_>) -> Result<Row, Problem> {
        lanes.read(self.members)
    }

    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        lanes.warp.epoch += 1;
        Ok(())
    }
}

/// `activemask`: the lanes that happen to be together.
#[derive(Debug)]
pub(super) struct ActiveMask {
    to: Register,
}

pub(super) fn decode_active_mask(s: &mut Statement<'_>) -> Result<ActiveMask, ParseError> {
    s.flag("b32");
    Ok(ActiveMask { to: s.register()? })
}

impl Plain for ActiveMask {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let mask = u64::from(lanes.mask);
        lanes.write(self.to, |_| mask);
        Ok(())
    }
}
