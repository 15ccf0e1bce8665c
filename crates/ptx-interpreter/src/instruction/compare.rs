//! Comparisons, and choices by predicates.

use super::Plain;
use super::float::flushed;
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::{Lanes, Row};
use crate::number::{BF16, F16};
use crate::text::{ParseError, Register, Source, Statement};

/// What is asked of two values. Unordered comparisons also hold where one is a NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Question {
    less: bool,
    equal: bool,
    greater: bool,
    unordered: bool,
}

const fn question(less: bool, equal: bool, greater: bool, unordered: bool) -> Question {
    Question { less, equal, greater, unordered }
}

const QUESTIONS: &[(&str, Question)] = &[
    ("eq", question(false, true, false, false)),
    // Integers know no unordered values, and floats that are NaNs are not equal only to `neu`.
    ("ne", question(true, false, true, false)),
    ("lt", question(true, false, false, false)),
    ("le", question(true, true, false, false)),
    ("gt", question(false, false, true, false)),
    ("ge", question(false, true, true, false)),
    ("lo", question(true, false, false, false)),
    ("ls", question(true, true, false, false)),
    ("hi", question(false, false, true, false)),
    ("hs", question(false, true, true, false)),
    ("equ", question(false, true, false, true)),
    ("neu", question(true, false, true, true)),
    ("ltu", question(true, false, false, true)),
    ("leu", question(true, true, false, true)),
    ("gtu", question(false, false, true, true)),
    ("geu", question(false, true, true, true)),
    ("num", question(true, true, true, false)),
    ("nan", question(false, false, false, true)),
];

impl Question {
    #[inline]
    fn ask<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match a.partial_cmp(b) {
            Some(std::cmp::Ordering::Less) => self.less,
            Some(std::cmp::Ordering::Equal) => self.equal,
            Some(std::cmp::Ordering::Greater) => self.greater,
            None => self.unordered,
        }
    }

    /// The lanes in which the answer is yes, for the low half of pairs.
    fn ask_rows(self, kind: Kind, flush: bool, a: &Row, b: &Row) -> u32 {
        macro_rules! answers {
            ($read:expr) => {{
                let read = $read;
                let mut mask = 0;
                for (lane, (a, b)) in a.iter().zip(b).enumerate() {
                    mask |= u32::from(self.ask(&read(*a), &read(*b))) << lane;
                }
                mask
            }};
        }
        match kind {
            Kind::U16 | Kind::B16 => answers!(|x: u64| x as u16),
            Kind::S16 => answers!(|x: u64| x as i16),
            Kind::U32 | Kind::B32 => answers!(|x: u64| x as u32),
            Kind::S32 => answers!(|x: u64| x as i32),
            Kind::S64 => answers!(|x: u64| x as i64),
            Kind::F32 => answers!(|x: u64| flushed(f32::from_bits(x as u32), flush)),
            Kind::F64 => answers!(f64::from_bits),
            Kind::F16 | Kind::F16x2 => answers!(|x: u64| F16.decode(x as u32 & 0xffff)),
            Kind::Bf16 | Kind::Bf16x2 => answers!(|x: u64| BF16.decode(x as u32 & 0xffff)),
            Kind::Pred => answers!(|x: u64| x & 1),
            _ => answers!(|x: u64| x),
        }
    }
}

/// How an answer is joined with a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
    Xor,
}

const JOINS: &[(&str, Join)] = &[("and", Join::And), ("or", Join::Or), ("xor", Join::Xor)];

/// What becomes of the answer.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// A predicate, and another one for its opposite, or for the upper half of pairs.
    Predicates(Register, Option<Register>),
    /// All ones or, as f32, one.
    Number(Register, Kind),
}

#[derive(Debug)]
pub(super) struct Compare {
    question: Question,
    kind: Kind,
    flush: bool,
    result: Answer,
    from: [Source; 2],
    join: Option<(Join, Source, bool)>,
}

/// Instructions of this family.
#[derive(Debug)]
pub(super) enum Comparison {
    Compare(Compare),
    /// `selp`: by a predicate. The choice may be of something unset.
    Select {
        to: Register,
        from: [Source; 2],
        by: Source,
        negated: bool,
    },
    /// `slct`: by a sign.
    SelectBySign {
        float: bool,
        to: Register,
        from: [Source; 3],
    },
    /// `testp`: what a float is.
    Test {
        test: Test,
        double: bool,
        to: Register,
        from: Source,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    Finite,
    Infinite,
    Number,
    NotANumber,
    Normal,
    Subnormal,
}

const TESTS: &[(&str, Test)] = &[
    ("finite", Test::Finite),
    ("infinite", Test::Infinite),
    ("number", Test::Number),
    ("notanumber", Test::NotANumber),
    ("normal", Test::Normal),
    ("subnormal", Test::Subnormal),
];

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Comparison, ParseError> {
    match s.name {
        "selp" => {
            s.kind()?;
            let to = s.register()?;
            let from = s.sources()?;
            let (by, negated) = s.predicate()?;
            Ok(Comparison::Select { to, from, by, negated })
        }
        "slct" => {
            s.ignore(&["ftz"]);
            s.kind()?;
            let float = s.kind()? == Kind::F32;
            Ok(Comparison::SelectBySign { float, to: s.register()?, from: s.sources()? })
        }
        "testp" => {
            let test = s.require("test", TESTS)?;
            let double = s.kind()? == Kind::F64;
            Ok(Comparison::Test { test, double, to: s.register()?, from: s.source()? })
        }
        _ => decode_compare(s).map(Comparison::Compare),
    }
}

fn decode_compare(s: &mut Statement<'_>) -> Result<Compare, ParseError> {
    let is_set = s.name == "set";
    let question = s.require("comparison", QUESTIONS)?;
    let join = s.choose(JOINS);
    let flush = s.flag("ftz");
    let number = if is_set { Some(s.kind()?) } else { None };
    let kind = s.kind()?;
    let result = match number {
        Some(number) => Answer::Number(s.register()?, number),
        None => {
            let (holds, opposite) = s.register_pair()?;
            Answer::Predicates(holds, opposite)
        }
    };
    if matches!(number, Some(Kind::F16x2 | Kind::Bf16x2)) {
        return Err(s.error("the result's type is not supported"));
    }
    let from = s.sources()?;
    let join = match join {
        Some(join) => {
            let (source, negated) = s.predicate()?;
            Some((join, source, negated))
        }
        None => None,
    };
    Ok(Compare { question, kind, flush, result, from, join })
}

impl Plain for Comparison {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        match *self {
            Self::Compare(ref compare) => compare.execute(lanes),
            Self::Select { to, from, by, negated } => {
                let first = lanes.predicate(by, negated)?;
                let [(a, a_set), (b, b_set)] = from.map(|source| lanes.read_unset(source));
                lanes.write(to, |lane| if first >> lane & 1 != 0 { a[lane] } else { b[lane] });
                let unset = lanes.mask & !(first & a_set | !first & b_set);
                lanes.warp.mark(to, unset, false);
                Ok(())
            }
            Self::SelectBySign { float: true, to, from } => {
                lanes.map3(to, from, |a: u64, b: u64, c: f32| if c >= 0.0 { a } else { b })
            }
            Self::SelectBySign { float: false, to, from } => {
                lanes.map3(to, from, |a: u64, b: u64, c: i32| if c >= 0 { a } else { b })
            }
            Self::Test { test, double, to, from } => {
                if double {
                    lanes.map(to, from, |a: f64| test.ask(a, a.is_subnormal()))
                } else {
                    lanes.map(to, from, |a: f32| test.ask(f64::from(a), a.is_subnormal()))
                }
            }
        }
    }
}

impl Test {
    fn ask(self, value: f64, subnormal: bool) -> bool {
        match self {
            Self::Finite => value.is_finite(),
            Self::Infinite => value.is_infinite(),
            Self::Number => !value.is_nan(),
            Self::NotANumber => value.is_nan(),
            Self::Normal => value.is_finite() && value != 0.0 && !subnormal,
            Self::Subnormal => subnormal,
        }
    }
}

impl Compare {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let (a, b) = (lanes.read(self.from[0])?, lanes.read(self.from[1])?);
        let low = self.question.ask_rows(self.kind, self.flush, &a, &b);
        let is_packed = matches!(self.kind, Kind::F16x2 | Kind::Bf16x2);
        let second = if is_packed {
            self.question.ask_rows(self.kind, self.flush, &a.map(|x| x >> 16), &b.map(|x| x >> 16))
        } else {
            !low
        };
        let joined = |answer: u32, with: u32| match self.join {
            None => answer,
            Some((Join::And, ..)) => answer & with,
            Some((Join::Or, ..)) => answer | with,
            Some((Join::Xor, ..)) => answer ^ with,
        };
        let with = match self.join {
            Some((_, source, negated)) => lanes.predicate(source, negated)?,
            None => 0,
        };
        let (first, second) = (joined(low, with), joined(second, with));
        match self.result {
            Answer::Predicates(holds, opposite) => {
                lanes.write(holds, |lane| u64::from(first >> lane & 1));
                if let Some(opposite) = opposite {
                    lanes.write(opposite, |lane| u64::from(second >> lane & 1));
                }
            }
            Answer::Number(to, kind) => {
                let yes = match kind {
                    Kind::F32 => u64::from(1.0_f32.to_bits()),
                    Kind::F16 => 0x3c00,
                    Kind::Bf16 => 0x3f80,
                    _ => u64::MAX >> (64 - 8 * kind.bytes()),
                };
                lanes.write(to, |lane| if first >> lane & 1 != 0 { yes } else { 0 });
            }
        }
        Ok(())
    }
}
