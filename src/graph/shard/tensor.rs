//! Tensor parallelism: every device has a part of each layer's heads and of its wide vectors. Matrices into those are split by outputs, matrices out of them by inputs, so that
//! devices add up their results once after the mixer and once after the feed-forward network.

use super::LayoutError;
use crate::model::{Attention, Block, Dense, Experts, FeedForward, LatentAttention, Mixer, Recurrent};

/// A number of the model among so many devices.
struct Split {
    devices: u64,
}

/// A layer as one of some devices has it.
pub(super) fn narrow(block: &Block, devices: u64) -> Result<Block, LayoutError> {
    let split = Split { devices };
    let mixer = match &block.mixer {
        Mixer::Attention(attention) => Mixer::Attention(split.attention(attention)?),
        Mixer::Latent(latent) => Mixer::Latent(split.latent(latent)?),
        Mixer::Recurrent(recurrent) => Mixer::Recurrent(split.recurrent(recurrent)?),
        Mixer::None => Mixer::None,
    };
    let ffn = match &block.ffn {
        FeedForward::Dense(dense) => FeedForward::Dense(split.dense(*dense, "intermediate")?),
        FeedForward::Experts(experts) => FeedForward::Experts(split.experts(*experts)?),
        FeedForward::None => FeedForward::None,
    };
    Ok(Block { mixer, ffn, ..*block })
}

impl Split {
    /// An even share.
    fn even(&self, field: &'static str, value: u64) -> Result<u64, LayoutError> {
        let devices = self.devices;
        let uneven = LayoutError::Uneven { size: "tp", devices, field, value };
        if value.is_multiple_of(devices) { Ok(value / devices) } else { Err(uneven) }
    }

    /// Each query head has the keys and values of its group beside it: on more devices than there are such heads, several have the same one.
    fn attention(&self, attention: &Attention) -> Result<Attention, LayoutError> {
        let heads = self.even("heads", attention.heads)?;
        let kv_heads = if attention.kv_heads > 0 && self.devices.is_multiple_of(attention.kv_heads) {
            1
        } else {
            self.even("kv_heads", attention.kv_heads)?
        };
        Ok(Attention { heads, kv_heads, ..attention.clone() })
    }

    /// The compressed vectors have no heads: each device compresses and caches all of them.
    fn latent(&self, latent: &LatentAttention) -> Result<LatentAttention, LayoutError> {
        Ok(LatentAttention { heads: self.even("heads", latent.heads)?, ..latent.clone() })
    }

    /// The inner vectors are split. Between them, a matrix is split on the side of an inner vector, if it has one.
    fn recurrent(&self, recurrent: &Recurrent) -> Result<Recurrent, LayoutError> {
        let inner = self.even("inner", recurrent.inner)?;
        let into = recurrent.inputs.iter().map(|&outputs| self.even("inputs", outputs)).collect::<Result<_, _>>()?;
        let between = recurrent.between.iter().map(|&(from, to, bias)| match (from, to) {
            (from, to) if to == recurrent.inner => (from, inner, bias),
            (from, to) if from == recurrent.inner => (inner, to, bias),
            (from, to) => (from, to, bias),
        });
        Ok(Recurrent {
            inputs: into,
            inner,
            between: between.collect(),
            conv_channels: self.even("conv_channels", recurrent.conv_channels)?,
            state: self.even("state", recurrent.state)?,
            vectors: recurrent.vectors.div_ceil(self.devices),
            ..recurrent.clone()
        })
    }

    fn dense(&self, dense: Dense, field: &'static str) -> Result<Dense, LayoutError> {
        Ok(Dense { intermediate: self.even(field, dense.intermediate)?, ..dense })
    }

    fn experts(&self, experts: Experts) -> Result<Experts, LayoutError> {
        let shared = experts.shared.map(|shared| self.dense(shared, "shared_intermediate")).transpose()?;
        Ok(Experts { expert: self.dense(experts.expert, "moe_intermediate")?, shared, ..experts })
    }
}
