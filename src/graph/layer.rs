//! The operators of a layer, in order, on one of the devices that share it.

use super::Routing;
use super::operator::{Collective, Kind, Operator, Part};
use super::plan::{Plan, Rows, Work};
use crate::dtype::DType;
use crate::model::{Block, FeedForward, KvFormat, Matrix, Mixer, Precision, Role, WeightFormat};
use crate::resource::RowwiseOp;
use crate::units::{Bytes, Flops};

/// What is the same for all layers of a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device<'a> {
    /// Width of the residual stream.
    pub(super) hidden: u64,
    /// The formats of the model.
    pub(super) precision: &'a Precision,
    /// The format of the cache.
    pub(super) kv: KvFormat,
    /// How tokens are spread over experts.
    pub(super) routing: Routing,
    /// Devices that share each matrix.
    pub(super) tensor: u64,
    /// Devices that share the experts.
    pub(super) expert: u64,
}

/// A kind of layer that is being added to a plan.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    /// The device.
    pub(super) device: Device<'a>,
    /// The layer, as narrow as a device has it.
    pub(super) block: &'a Block,
    /// Layers that are like this.
    pub(super) count: u64,
    /// Its place in the model's list of kinds.
    pub(super) kind: usize,
    /// What it is added to.
    pub(super) plan: &'a mut Plan,
}

/// Matrices that read the same input in the same format: one product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merged {
    /// The role of the first one.
    pub(super) role: Role,
    /// Outputs of all.
    pub(super) outputs: u64,
    /// Inputs.
    pub(super) inputs: u64,
    /// How they are stored.
    pub(super) format: WeightFormat,
    /// Bytes of all, with the vectors that are added.
    pub(super) weights: Bytes,
}

impl Device<'_> {
    /// The product with one copy of a matrix, in a layer of some kind.
    pub(super) fn product(&self, matrix: Matrix, kind: usize) -> Merged {
        let Matrix { role, inputs, outputs, .. } = matrix;
        let format = self.precision.of(kind, role);
        let bias = Matrix { copies: 1, ..matrix }.bias_elements() as f64 * self.precision.vectors.bytes_per_element();
        Merged { role, outputs, inputs, format, weights: format.bytes(outputs, inputs) + Bytes(bias) }
    }
}

impl<'a> Layer<'a> {
    /// Adds all operators of the layer.
    pub(super) fn add(&mut self) {
        self.norms(self.block.norms, self.device.hidden);
        let block = self.block;
        match &block.mixer {
            Mixer::Attention(attention) => self.attention(attention),
            Mixer::Latent(latent) => self.latent(latent),
            Mixer::Recurrent(recurrent) => self.recurrent(recurrent),
            Mixer::None => {}
        }
        if block.mixer != Mixer::None {
            self.close();
        }
        match &block.ffn {
            FeedForward::Dense(dense) => self.dense(*dense, [Role::Gate, Role::Up, Role::Down]),
            FeedForward::Experts(experts) => self.experts(experts),
            FeedForward::None => {}
        }
        if block.ffn != FeedForward::None {
            self.close();
        }
    }

    /// What ends the mixer and the feed-forward network: devices add up their parts, and the sum is added to the residual stream.
    fn close(&mut self) {
        let hidden = self.device.hidden as f64;
        if self.device.tensor > 1 {
            self.all_reduce(self.device.hidden);
        }
        self.rowwise(Rows::Tokens, Part::Residual, RowwiseOp::Add, hidden);
    }

    /// Format of the residual stream.
    pub(super) fn dtype(&self) -> DType {
        self.device.precision.activations
    }

    /// Bytes that a token adds to the layer's cache.
    pub(super) fn cached(&self) -> Bytes {
        self.block.kv_bytes_per_token(self.device.kv)
    }

    /// Bytes of vectors of so many elements.
    pub(super) fn vectors(&self, elements: u64) -> Bytes {
        Bytes(elements as f64 * self.device.precision.vectors.bytes_per_element())
    }

    /// Adds an operator.
    pub(super) fn push(&mut self, work: Work) {
        self.plan.push(self.count, work);
    }

    /// Adds a pass with so many elements in a row of its result.
    pub(super) fn rowwise(&mut self, of: Rows, part: Part, op: RowwiseOp, elements: f64) {
        let one = Operator::rowwise(part, op, self.dtype(), elements);
        self.push(Work::Rows(of, one));
    }

    /// Adds some norms over vectors of a width.
    fn norms(&mut self, norms: u64, width: u64) {
        let one = norm(self.dtype(), width as f64, self.vectors(self.block.norm.parameters(width)));
        if norms > 0 {
            self.plan.push(self.count.saturating_mul(norms), Work::Rows(Rows::Tokens, one));
        }
    }

    /// Adds a norm within the mixer over so many elements, with a vector of weights.
    pub(super) fn inner_norm(&mut self, elements: u64, parameters: u64) {
        let one = norm(self.dtype(), elements as f64, self.vectors(parameters));
        self.push(Work::Rows(Rows::Tokens, one));
    }

    /// Adds the activation between the halves of a feed-forward network.
    pub(super) fn activation(&mut self, of: Rows, gated: bool, intermediate: u64) {
        // Without a gate, an activation reads one array and writes another, as a norm does.
        let op = if gated { RowwiseOp::SiluMul } else { RowwiseOp::RmsNorm };
        self.rowwise(of, Part::Activation, op, intermediate as f64);
    }

    /// Adds the sum over devices of a vector for each token.
    pub(super) fn all_reduce(&mut self, elements: u64) {
        let bytes = Bytes(elements as f64 * self.dtype().bytes_per_element());
        self.exchange(Collective::AllReduce { devices: self.device.tensor, bytes });
    }

    /// Adds an exchange of so many bytes for each token.
    pub(super) fn exchange(&mut self, collective: Collective) {
        self.push(Work::Rows(Rows::Tokens, Operator::new(Part::Communication, Kind::Exchange(collective))));
    }

    /// Adds the products of some roles that read the same input.
    pub(super) fn products(&mut self, roles: &[Role]) {
        let products = self.merged(roles);
        self.quantizations(Rows::Tokens, &products);
        for product in products {
            let one = product.operator(self.dtype());
            self.push(Work::Rows(Rows::Tokens, one));
        }
    }

    /// The matrices of some roles, those of equal input and format together. Bytes are summed up matrix by matrix, because each has scales of its own.
    pub(super) fn merged(&self, roles: &[Role]) -> Vec<Merged> {
        let mut merged: Vec<Merged> = Vec::new();
        for matrix in self.block.matrices(self.device.hidden) {
            if !roles.contains(&matrix.role) {
                continue;
            }
            let one = self.device.product(matrix, self.kind);
            match merged.iter_mut().find(|other| other.format == one.format && other.inputs == one.inputs) {
                Some(other) => {
                    other.outputs = other.outputs.saturating_add(one.outputs);
                    other.weights = other.weights + one.weights;
                }
                None => merged.push(one),
            }
        }
        merged
    }

    /// The matrices of a role, each a product of its own.
    pub(super) fn separate(&self, role: Role) -> Vec<Merged> {
        let matrices = self.block.matrices(self.device.hidden).into_iter();
        matrices.filter(|matrix| matrix.role == role).map(|matrix| self.device.product(matrix, self.kind)).collect()
    }

    /// Adds the rounding of a product's input, once for each format that is narrower than the residual stream's.
    pub(super) fn quantizations(&mut self, of: Rows, products: &[Merged]) {
        for (index, product) in products.iter().enumerate() {
            let known = |other: &Merged| other.format.activations == product.format.activations;
            if !products[..index].iter().any(known)
                && let Some(one) = quantization(self.dtype(), product.format.activations, product.inputs)
            {
                self.push(Work::Rows(of, one));
            }
        }
    }
}

impl Merged {
    /// The product with one row.
    pub(super) fn operator(&self, dtype: DType) -> Operator {
        let (n, k) = (self.outputs as f64, self.inputs as f64);
        let read = k * self.format.activations.bytes_per_element();
        Operator {
            flops: Flops(2.0 * n * k),
            weights: self.weights,
            activations: Bytes(read + n * dtype.bytes_per_element()),
            ..Operator::new(
                Part::Matrix(self.role),
                Kind::Product { m: 1, n: self.outputs, k: self.inputs, weights: self.format },
            )
        }
    }
}

/// A norm over a row of some elements.
pub(super) fn norm(dtype: DType, elements: f64, weights: Bytes) -> Operator {
    Operator { weights, ..Operator::rowwise(Part::Norm, RowwiseOp::RmsNorm, dtype, elements) }
}

/// The rounding of a row to a narrower format: a pass that finds each row's largest element and scales by it, as a norm does.
pub(super) fn quantization(from: DType, to: DType, elements: u64) -> Option<Operator> {
    if to.bytes_per_element() >= from.bytes_per_element() {
        return None;
    }
    let elements = elements as f64;
    Some(Operator {
        activations: Bytes(elements * (from.bytes_per_element() + to.bytes_per_element())),
        ..Operator::rowwise(Part::Quantization, RowwiseOp::RmsNorm, from, elements)
    })
}
