//! What is stood in for, from the environment.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ptx_interpreter::{Options, Schedule, Version};

use crate::beside::Beside;
use crate::code::Code;

/// The settings of this process; the table in the crate's documentation says what each is.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub(crate) devices: u32,
    /// Compute capability times ten.
    pub(crate) capability: u32,
    /// As `cuDriverGetVersion` says it: 12090 for 12.9.
    pub(crate) driver: u32,
    pub(crate) name: String,
    pub(crate) memory: u64,
    pub(crate) l2: u32,
    pub(crate) init: Code,
    pub(crate) hang: Duration,
    pub(crate) lose_after: Option<u64>,
    pub(crate) lose_at: Option<String>,
    pub(crate) lose_as: Code,
    pub(crate) stall_after: Option<u64>,
    /// What it answers to a stream that shall be captured.
    pub(crate) capture: Code,
    /// The kernel of which a captured graph lacks the first launch, and that of which a launched graph leaves it out.
    pub(crate) graph_lacks: Option<String>,
    pub(crate) graph_skips: Option<String>,
    /// Whether devices reach one another's memory.
    pub(crate) peers: bool,
    /// How many ways from one device to another may be open at a time.
    pub(crate) peer_limit: usize,
    pub(crate) launches: Option<PathBuf>,
    pub(crate) wrong: Option<String>,
    pub(crate) beside: Option<PathBuf>,
    pub(crate) comparisons: Option<PathBuf>,
    pub(crate) options: Options,
}

/// Reads settings by their names.
struct Reader<'e> {
    environment: &'e dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    fn read<T>(&self, name: &str, otherwise: T, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        match (self.environment)(name) {
            None => Ok(otherwise),
            Some(text) => parse(text.trim()).ok_or_else(|| format!("`{name}` cannot be `{text}`")),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        (self.environment)(name).map(|text| text.trim().to_owned())
    }

    fn number<T: FromStr>(&self, name: &str, otherwise: T) -> Result<T, String> {
        self.read(name, otherwise, |text| text.parse().ok())
    }
}

/// `12.9` as major and minor number.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok().filter(|major| *major < 1000)?, minor.parse().ok().filter(|minor| *minor < 10)?))
}

impl Knobs {
    /// Reads all settings.
    pub(crate) fn read(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let reader = Reader { environment };
        let schedule = reader.read("STAND_IN_SCHEDULE", Schedule::Plain, |text| match text {
            "plain" => Some(Schedule::Plain),
            seed => Some(Schedule::Preemptive { seed: seed.parse().ok()? }),
        })?;
        let defaults = Options::default();
        let options = Options {
            schedule,
            budget: reader.number("STAND_IN_BUDGET", defaults.budget)?,
            races: reader.number("STAND_IN_RACES", 0_u8)? != 0,
            workers: reader.number("STAND_IN_WORKERS", 1)?,
            multiprocessors: reader.number("STAND_IN_MULTIPROCESSORS", 4)?,
            ..defaults
        };
        Ok(Self {
            devices: reader.number("STAND_IN_DEVICES", 1)?,
            capability: reader
                .read("STAND_IN_CAPABILITY", 90, |text| version(text).map(|(major, minor)| 10 * major + minor))?,
            driver: reader
                .read("STAND_IN_DRIVER", 12090, |text| version(text).map(|(major, minor)| 1000 * major + 10 * minor))?,
            name: reader.text("STAND_IN_NAME").unwrap_or_else(|| "Stand-in GPU (interpreter)".to_owned()),
            memory: reader.number("STAND_IN_MEMORY", 64 << 20)?,
            l2: reader.number("STAND_IN_L2", 256 << 10)?,
            init: Code(reader.number("STAND_IN_INIT", 0)?),
            hang: Duration::from_secs(reader.number("STAND_IN_HANG", 0)?),
            lose_after: reader.read("STAND_IN_LOSE_AFTER", None, |text| text.parse().ok().map(Some))?,
            lose_at: reader.read("STAND_IN_LOSE_AT", None, |text| Some(Some(text.to_owned())))?,
            lose_as: Code(reader.number("STAND_IN_LOSE_AS", Code::LAUNCH_FAILED.0)?),
            stall_after: reader.read("STAND_IN_STALL_AFTER", None, |text| text.parse().ok().map(Some))?,
            capture: Code(reader.number("STAND_IN_CAPTURE", 0)?),
            graph_lacks: reader.text("STAND_IN_GRAPH_LACKS"),
            graph_skips: reader.text("STAND_IN_GRAPH_SKIPS"),
            peers: reader.number("STAND_IN_PEERS", 1_u8)? != 0,
            peer_limit: reader.number("STAND_IN_PEER_LIMIT", usize::MAX)?,
            launches: reader.text("STAND_IN_LAUNCHES").map(PathBuf::from),
            wrong: reader.text("STAND_IN_WRONG"),
            beside: reader.text("STAND_IN_BESIDE").map(PathBuf::from),
            comparisons: reader.text("STAND_IN_COMPARISONS").map(PathBuf::from),
            options,
        })
    }

    /// Takes from another driver what decides which kernels a program chooses, and what they may have.
    pub(crate) fn follow(&mut self, other: &Beside) {
        self.devices = self.devices.min(1);
        (self.capability, self.driver) = (other.capability, other.version);
        self.options.shared_limit = self.options.shared_limit.min(other.shared_limit);
    }

    /// The newest PTX that a driver of this version assembles.
    pub(crate) fn newest_ptx(&self) -> Version {
        // CUDA and the PTX that came with it, as the release notes of the PTX ISA have them.
        const VERSIONS: &[(u32, u32, u32)] = &[
            (11000, 7, 0),
            (11010, 7, 1),
            (11020, 7, 2),
            (11030, 7, 3),
            (11040, 7, 4),
            (11050, 7, 5),
            (11060, 7, 6),
            (11070, 7, 7),
            (11080, 7, 8),
            (12000, 8, 0),
            (12010, 8, 1),
            (12020, 8, 2),
            (12030, 8, 3),
            (12040, 8, 4),
            (12050, 8, 5),
            (12070, 8, 6),
            (12080, 8, 7),
            (12090, 8, 8),
            (13000, 9, 0),
        ];
        let row = VERSIONS.iter().rev().find(|row| row.0 <= self.driver);
        row.map_or(Version { major: 6, minor: 0 }, |row| Version { major: row.1, minor: row.2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Result<Knobs, String> {
        Knobs::read(&|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn settings_are_read_or_refused_by_name() {
        let knobs = with("STAND_IN_CAPABILITY", "8.9").unwrap();
        assert_eq!((knobs.capability, knobs.driver, knobs.devices), (89, 12090, 1));
        let knobs = with("STAND_IN_DRIVER", "11.4").unwrap();
        assert_eq!((knobs.driver, knobs.newest_ptx()), (11040, Version { major: 7, minor: 4 }));
        assert_eq!(with("STAND_IN_DRIVER", "12.6").unwrap().newest_ptx(), Version { major: 8, minor: 5 });
        assert_eq!(with("STAND_IN_SCHEDULE", "7").unwrap().options.schedule, Schedule::Preemptive { seed: 7 });
        let error = with("STAND_IN_MEMORY", "lots").unwrap_err();
        assert_eq!(error, "`STAND_IN_MEMORY` cannot be `lots`");
        assert!(with("STAND_IN_CAPABILITY", "nine").is_err());
    }
}
