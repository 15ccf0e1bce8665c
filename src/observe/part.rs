//! Measurements of parts: kernels, collective operations between devices, copies between memories, single resources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::Format;
use super::metric::Distribution;
use crate::dtype::DType;
use crate::resource::{Exchange, Resource};
use crate::units::{Bytes, BytesPerSecond, Seconds, Unit};

/// One kernel as a profiler saw it, over all of its launches with one grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// Its grid, as the profiler writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<String>,
    /// How many launches were profiled.
    pub launches: u64,
    /// Seconds of a launch.
    #[serde(default, skip_serializing_if = "Distribution::is_empty")]
    pub time: Distribution,
    /// Bytes that a launch reads from the device's memory.
    #[serde(default, skip_serializing_if = "Distribution::is_empty")]
    pub memory_read: Distribution,
    /// Bytes that a launch writes to the device's memory.
    #[serde(default, skip_serializing_if = "Distribution::is_empty")]
    pub memory_written: Distribution,
    /// Bytes that a launch reads or writes, where the file does not tell them apart.
    #[serde(default, skip_serializing_if = "Distribution::is_empty")]
    pub memory_moved: Distribution,
    /// Bytes that pass the last-level cache in a launch.
    #[serde(default, skip_serializing_if = "Distribution::is_empty")]
    pub cache_moved: Distribution,
    /// Operations of a launch, by what they are multiplied and summed in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<KernelOperations>,
    /// Clock of the multiprocessors, in Hz.
    #[serde(default, skip_serializing_if = "Distribution::is_empty")]
    pub clock: Distribution,
    /// Share of the peak that the multiprocessors reach, 0 to 1.
    #[serde(default, skip_serializing_if = "Distribution::is_empty")]
    pub compute_share: Distribution,
    /// Where its first launch stands.
    pub at: String,
}

/// Operations of a kernel in one format. A multiply-add counts as two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelOperations {
    /// Whether tensor cores did them, and not the vector units.
    pub tensor: bool,
    /// Format of the factors.
    pub input: DType,
    /// Format of the sums.
    pub accumulate: DType,
    /// Operations of a launch.
    pub count: Distribution,
}

/// A collective operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Every rank gets the reduction of all.
    AllReduce,
    /// Every rank gets what all have.
    AllGather,
    /// Every rank gets its part of the reduction.
    ReduceScatter,
    /// Every rank sends a part to every other.
    AllToAll,
    /// All get what one has.
    Broadcast,
    /// One gets the reduction.
    Reduce,
    /// One gets what all have.
    Gather,
    /// All get their part of what one has.
    Scatter,
    /// Every rank sends to the next.
    SendReceive,
}

impl Operation {
    /// The operation that a program of nccl-tests measures: `all_reduce_perf`, with or without its folder.
    #[must_use]
    pub fn of_program(program: &str) -> Option<Self> {
        let name = program.rsplit(['/', '\\']).next().unwrap_or(program).trim();
        Some(match name.strip_suffix("_perf").unwrap_or(name) {
            "all_reduce" => Self::AllReduce,
            "all_gather" => Self::AllGather,
            "reduce_scatter" => Self::ReduceScatter,
            "alltoall" => Self::AllToAll,
            "broadcast" => Self::Broadcast,
            "reduce" => Self::Reduce,
            "gather" => Self::Gather,
            "scatter" => Self::Scatter,
            "sendrecv" => Self::SendReceive,
            _ => return None,
        })
    }

    /// The exchange that it is among those that profiles know, where both count the same bytes. Every rank sends and receives at once in `sendrecv`, which is neither of the copies there.
    #[must_use]
    pub const fn exchange(self) -> Option<Exchange> {
        match self {
            Self::AllReduce => Some(Exchange::AllReduce),
            Self::AllGather => Some(Exchange::AllGather),
            Self::ReduceScatter => Some(Exchange::ReduceScatter),
            Self::AllToAll => Some(Exchange::AllToAll),
            Self::Broadcast | Self::Reduce | Self::Gather | Self::Scatter | Self::SendReceive => None,
        }
    }

    /// How many times the algorithm's bandwidth goes over the busiest link, by nccl-tests' definition of bus bandwidth.
    #[must_use]
    pub fn bus_factor(self, ranks: u64) -> f64 {
        let ranks = ranks.max(1) as f64;
        match self {
            Self::AllReduce => 2.0 * (ranks - 1.0) / ranks,
            Self::AllGather | Self::ReduceScatter | Self::AllToAll | Self::Gather | Self::Scatter => {
                (ranks - 1.0) / ranks
            }
            Self::Broadcast | Self::Reduce | Self::SendReceive => 1.0,
        }
    }
}

/// A collective operation over message sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Collective {
    /// The operation, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// How many ranks took part, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<u64>,
    /// Format of the elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How elements are reduced, as the tool calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<String>,
    /// The curve, in the order of the file.
    pub points: Vec<CollectivePoint>,
}

/// A collective operation at one message size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollectivePoint {
    /// Bytes of the message.
    pub size: Bytes,
    /// With a buffer for the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_place: Option<CollectiveTiming>,
    /// With the result in the place of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place: Option<CollectiveTiming>,
    /// Where it stands.
    pub at: String,
}

/// How long a collective operation took. The time is what counts; it includes the latency of small messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollectiveTiming {
    /// Seconds of one operation.
    pub time: Seconds,
    /// Message bytes over the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm_rate: Option<BytesPerSecond>,
    /// What goes over the busiest link, to compare with rates of links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus_rate: Option<BytesPerSecond>,
}

/// One end of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The host's memory.
    Host,
    /// A device's memory.
    Device,
}

/// Which way a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the end in rows to the end in columns.
    RowToColumn,
    /// From the end in columns to the end in rows.
    ColumnToRow,
    /// Both at once.
    Both,
}

/// Copies between memories, as a table: one test case of nvbandwidth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Copy {
    /// The test case.
    pub name: String,
    /// What the rows are, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<End>,
    /// What the columns are, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<End>,
    /// Which way it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The unit of the values: `B/s`, or `s` for a latency.
    pub unit: Unit,
    /// The values, row by row; absent where a pair was not measured.
    pub values: Vec<Vec<Option<f64>>>,
    /// Where it stands.
    pub at: String,
}

/// What a benchmark of hardware measured of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// The resource.
    pub resource: Resource,
    /// The working set or the transfer in bytes, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Bytes>,
    /// The value, in the resource's unit.
    pub value: f64,
    /// What the tool calls it.
    pub name: String,
    /// Where it stands.
    pub at: String,
}

impl Rate {
    /// Puts it among others, of which the best of each resource and place stays.
    pub(super) fn put_if_best(self, rates: &mut Vec<Self>) {
        let same = |other: &&mut Self| other.resource == self.resource && other.bytes == self.bytes;
        match rates.iter_mut().find(same) {
            Some(other) if (self.value > other.value) == self.resource.unit().more_is_better() => *other = self,
            Some(_) => {}
            None => rates.push(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_their_last_word() {
        assert_eq!(Operation::of_program("./build/all_reduce_perf"), Some(Operation::AllReduce));
        assert_eq!(Operation::of_program("alltoall_perf"), Some(Operation::AllToAll));
        assert_eq!(Operation::of_program("hypercube_perf"), None);
    }

    #[test]
    fn bus_factors_follow_the_definition() {
        assert_eq!(Operation::AllReduce.bus_factor(8), 1.75);
        assert_eq!(Operation::AllGather.bus_factor(4), 0.75);
        assert_eq!(Operation::Broadcast.bus_factor(4), 1.0);
        assert_eq!(Operation::AllReduce.bus_factor(0), 0.0);
    }
}
