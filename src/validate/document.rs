//! The document `rooflab.validation/1`: its types are its schema.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::kernel::Class;
use super::plan::Load;
use crate::estimate::cost::{Bound, Knowledge};
use crate::estimate::{Hardware, ModelFacts};
use crate::graph::Part;
use crate::profile::{Effort, Source};
use crate::units::Seconds;

/// What stands in the field `schema`.
pub const SCHEMA: &str = "rooflab.validation/1";

/// A model's steps on a device, as they were measured and as a profile predicts them.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Document {
    /// The schema and its major version.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// Whether the user interrupted: then only what was finished before is in it.
    pub interrupted: bool,
    /// What it is about.
    #[serde(flatten)]
    pub header: Header,
    /// The steps.
    pub steps: Vec<StepRow>,
    /// How far predictions are off, by classes of operators.
    pub classes: Vec<ClassAccuracy>,
    /// The same of all operators.
    pub operators: Option<Accuracy>,
    /// The same of the steps as a whole.
    pub whole: Option<Accuracy>,
    /// How many of all these times rest on few undisturbed samples, or scatter.
    pub doubtful: u64,
    /// What is off by more than the threshold, or failed.
    pub findings: Vec<Finding>,
    /// What nothing can be told of: most of its times rest on few undisturbed samples or scatter by more than the threshold, or it hangs on those whether it is off.
    pub unclear: Vec<About>,
    /// What was left out, where that is more than a little.
    pub left_out: Vec<LeftOut>,
    /// Whether the profile describes the device, within the threshold; none where nothing could be compared.
    pub verdict: Option<Verdict>,
}

/// What a validation is about.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Header {
    /// The program that wrote the document.
    pub rooflab: Source,
    /// When, in UTC.
    pub created: Timestamp,
    /// The model, of which the layers that were run are stated with each step.
    pub model: ModelFacts,
    /// The device that was measured, by its backend and its index there.
    pub device: String,
    /// The profile that predicts.
    pub hardware: Hardware,
    /// How much time was taken.
    pub effort: Effort,
    /// The error beyond which something is a finding, as a share.
    pub threshold: f64,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StepRow {
    /// What goes through the model.
    #[serde(flatten)]
    pub load: Load,
    /// Layers that were run.
    pub layers: u64,
    /// Layers of the model.
    pub of_layers: u64,
    /// How much of the time that is predicted for these layers is that of operators which were run.
    pub covered: f64,
    /// All operators that were run, in turn.
    pub whole: StepOutcome,
    /// The same with all launches handed over together as a graph, where the device has that; predicted by what a launch costs within one.
    pub as_graph: Option<StepOutcome>,
    /// Each operator by itself.
    pub operators: Vec<OperatorRow>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum StepOutcome {
    /// It was run.
    Compared(Whole),
    /// It was not.
    Absent(Absent),
    /// It was run and failed.
    Failed(Failed),
}

/// A step that was run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Whole {
    /// Both times.
    #[serde(flatten)]
    pub compared: Compared,
    /// The measured times of its operators by themselves, summed up: what is left to the whole is what they do to one another.
    pub sum_of_operators: Seconds,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OperatorRow {
    /// Its place in a layer.
    pub part: Part,
    /// How often the step executes it.
    pub count: u64,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: OperatorOutcome,
}

/// What came of an operator.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum OperatorOutcome {
    /// It was run.
    Compared {
        /// The class it belongs to.
        class: Class,
        /// The kernel, with its size.
        kernel: String,
        /// Its fastest implementation.
        variant: String,
        /// Both times, of one execution.
        #[serde(flatten)]
        compared: Compared,
        /// What the prediction says that most of the time is spent on.
        bound: Bound,
        /// How well that is known.
        knowledge: Knowledge,
    },
    /// It was not run, and is in neither of the step's times.
    Absent(Absent),
    /// It was run and failed.
    Failed(Failed),
}

/// What was not run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Absent {
    /// Why.
    pub reason: String,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Failed {
    /// How: its results were wrong, or the device gave none.
    pub failure: String,
}

/// A time as it was predicted and as it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Compared {
    /// What was predicted.
    pub predicted: Seconds,
    /// What was measured: the median.
    pub measured: Seconds,
    /// Predicted over measured, less 1: below 0 where it took longer than predicted.
    pub error: f64,
    /// Half the width of the measured median's confidence interval, as a share of it.
    pub uncertainty: f64,
    /// Samples that it rests on.
    pub samples: Samples,
}

impl Compared {
    /// Fewest undisturbed samples, and the most scatter, of a time that something may be concluded from.
    const FEWEST: u64 = 6;
    const SCATTER: f64 = 0.05;

    /// Whether its measured time rests on few undisturbed samples, or scatters.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.samples.clean < Self::FEWEST || self.uncertainty > Self::SCATTER
    }

    /// Whether it tells if the prediction is off by more than a threshold: it rests on enough undisturbed samples, and scatters by less than the threshold
    /// or lies beyond it wherever in its interval the time is.
    #[must_use]
    pub fn tells(&self, threshold: f64) -> bool {
        let (ratio, scatter) = (1.0 + self.error, self.uncertainty);
        let is_high = ratio > (1.0 + threshold) * (1.0 + scatter);
        let is_low = ratio < (1.0 - threshold).max(0.0) * (1.0 - scatter).max(0.0);
        self.samples.clean >= Self::FEWEST && (scatter <= threshold || is_high || is_low)
    }
}

/// Samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Samples {
    /// Those that nothing disturbed.
    pub clean: u64,
    /// All.
    pub total: u64,
}

/// How far predictions are off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Accuracy {
    /// Predictions.
    pub count: u64,
    /// The mean of the errors' sizes (MAPE).
    pub mape: f64,
    /// The mean of the errors: below 0 where things take longer than predicted.
    pub bias: f64,
    /// The largest error, with its sign.
    pub worst: f64,
}

/// How far the predictions of a class of operators are off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClassAccuracy {
    /// The class.
    pub class: Class,
    /// How far they are off.
    #[serde(flatten)]
    pub accuracy: Accuracy,
    /// The time that is predicted for all executions in all steps.
    pub predicted: Seconds,
    /// The time that they took.
    pub measured: Seconds,
}

/// Something that is off by more than the threshold, or failed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// What.
    pub about: About,
    /// The mean of the errors' sizes; none of what failed.
    pub mape: Option<f64>,
    /// What is the case, in a sentence.
    pub says: String,
    /// What to try.
    #[serde(rename = "try")]
    pub remedy: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A class of operators.
    Class(Class),
    /// Steps as a whole.
    Steps,
}

/// What was left out of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// A step was not run as a whole.
    Steps,
    /// Operators of more than a tenth of a step's predicted time were not run.
    Operators,
}

/// Whether a profile describes a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Steps and every class of operators take what it predicts, within the threshold.
    Holds,
    /// All that was run does, and something was left out, or the user interrupted.
    Partly,
    /// Something does not, or failed.
    Fails,
    /// It cannot be told of something, and all else does: the machine was too busy.
    Unclear,
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = schema_for!(Document);
    schema.insert("$id".to_owned(), "urn:rooflab:validation:1".into());
    schema.insert("title".to_owned(), SCHEMA.into());
    schema
}
