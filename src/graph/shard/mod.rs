//! A model on several devices.
//!
//! What a device of a group holds is a narrower, shorter model: fewer heads, fewer columns, fewer experts, fewer layers, fewer sequences. Each way of dividing is
//! therefore a pass over what is lowered, and not over the operators that come out: in those, queries, keys and values are already one product, of which nobody
//! could say any more that keys are to be copied and queries to be split, and the order of layers is gone. Lowering then adds the exchanges.
//!
//! | | divides | copies | exchanges |
//! |---|---|---|---|
//! | `tensor` | heads, columns of wide vectors, the vocabulary | norms, routers, the table of tokens; heads of keys and values when there are fewer than devices | two all-reduces per layer; an all-gather of logits |
//! | `pipeline` | layers | – | the residual stream, sent to the next stage |
//! | `expert` | experts; sequences everywhere else | all but the experts | two all-to-alls per layer with experts |
//! | `data` | sequences | everything | none |

pub(super) mod data;
mod expert;
pub(super) mod pipeline;
mod tensor;

use crate::model::{Block, Model};

/// How many devices share what. Their number is the product of all four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Devices that share each matrix (tp).
    pub tensor: u64,
    /// Stages of layers that follow one another (pp).
    pub pipeline: u64,
    /// Devices that share the experts of each layer, and otherwise take different sequences (ep).
    pub expert: u64,
    /// Replicas of all that, which take different sequences (dp).
    pub data: u64,
}

/// Why a model cannot be divided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There are no devices.
    #[error("`{size}` is 0; it counts devices, from 1")]
    Zero {
        /// The size of the layout.
        size: &'static str,
    },
    /// A number of the model is not divided evenly.
    #[error("`{size}` {devices} does not divide `{field}` {value}")]
    Uneven {
        /// The size of the layout.
        size: &'static str,
        /// Its value.
        devices: u64,
        /// The number of the model.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// There are more stages than layers.
    #[error("`pp` {stages} is more than the {layers} layers of the model")]
    Stages {
        /// Stages.
        stages: u64,
        /// Layers.
        layers: u64,
    },
    /// There are no experts to divide.
    #[error("`ep` {devices} needs experts, and the model has none")]
    NoExperts {
        /// Devices.
        devices: u64,
    },
    /// The product of the sizes is no number of devices.
    #[error("`tp` {} · `pp` {} · `ep` {} · `dp` {} are more devices than can be counted", .0.tensor, .0.pipeline, .0.expert, .0.data)]
    TooMany(Layout),
}

impl Default for Layout {
    /// One device.
    fn default() -> Self {
        Self { tensor: 1, pipeline: 1, expert: 1, data: 1 }
    }
}

impl Layout {
    /// Devices.
    ///
    /// # Errors
    /// If there are none, or more than can be counted.
    pub fn devices(&self) -> Result<u64, LayoutError> {
        let sizes = [("tp", self.tensor), ("pp", self.pipeline), ("ep", self.expert), ("dp", self.data)];
        sizes.into_iter().try_fold(1_u64, |devices, (size, of)| match of {
            0 => Err(LayoutError::Zero { size }),
            _ => devices.checked_mul(of).ok_or(LayoutError::TooMany(*self)),
        })
    }

    /// The kinds of layers of a model, as one of the devices has them that share each matrix.
    ///
    /// # Errors
    /// If a matrix cannot be divided like that.
    pub fn narrow(&self, model: &Model) -> Result<Vec<Block>, LayoutError> {
        model.blocks.iter().map(|block| tensor::narrow(block, self.tensor)).collect()
    }

    /// Whether a model can be divided like that, as far as its sizes other than those of matrices go.
    pub(super) fn check(&self, model: &Model) -> Result<(), LayoutError> {
        self.devices()?;
        let layers = model.layers.len() as u64;
        if self.pipeline > layers.max(1) {
            return Err(LayoutError::Stages { stages: self.pipeline, layers });
        }
        expert::check(model, self.expert)
    }
}
