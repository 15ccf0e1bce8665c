//! What comes before the first layer and after the last: the table of tokens, the output head, and the choice of the next token.

use super::layer::{Device, norm, quantization};
use super::operator::{Collective, Kind, Operator, Part};
use super::plan::{Plan, Rows, Work};
use crate::dtype::DType;
use crate::model::{Matrix, Model, Role};
use crate::resource::RowwiseOp;
use crate::units::Bytes;

/// Logits are widened before a token is sampled from them.
const LOGITS: DType = DType::F32;

/// Adds what comes before the first layer. The table of tokens is whole on every device of a tensor-parallel group, so that no exchange follows.
pub(super) fn first(model: &Model, device: Device<'_>, plan: &mut Plan) {
    let dtype = device.precision.activations;
    let format = device.precision.embedding;
    let width = model.embedding_width.unwrap_or(model.hidden);
    let row = Bytes(width as f64 * dtype.bytes_per_element());
    let gather = Operator {
        activations: format.bytes(1, width) + row,
        ..Operator::new(Part::Embedding, Kind::Rowwise { op: RowwiseOp::Gather, dtype })
    };
    plan.push(1, Work::Rows(Rows::Tokens, gather));
    let positions = model.learned_positions as f64 * model.hidden as f64;
    plan.tables = format.bytes(model.vocab, width) + Bytes(positions * device.precision.vectors.bytes_per_element());
    if let Some(width) = model.embedding_width {
        product(Matrix::new(Role::Embedding, width, model.hidden, false), device, Rows::Tokens, plan);
    }
    if model.learned_positions > 0 {
        let positions = Operator::rowwise(Part::Embedding, RowwiseOp::Add, dtype, model.hidden as f64);
        plan.push(1, Work::Rows(Rows::Tokens, positions));
    }
}

/// Adds what comes after the last layer. Each device has its part of the vocabulary; the parts are filled up to equal size.
pub(super) fn last(model: &Model, device: Device<'_>, plan: &mut Plan) {
    let precision = device.precision;
    let dtype = precision.activations;
    if let Some(kind) = model.final_norm {
        let weights = kind.parameters(model.hidden) as f64 * precision.vectors.bytes_per_element();
        let one = norm(dtype, model.hidden as f64, Bytes(weights));
        plan.push(1, Work::Rows(Rows::Tokens, one));
    }
    let mut width = model.hidden;
    if let Some(narrow) = model.embedding_width {
        product(Matrix::new(Role::Head, width, narrow, false), device, Rows::Logits, plan);
        width = narrow;
    }
    let outputs = model.vocab.div_ceil(device.tensor.max(1));
    if model.tied_embeddings {
        // Where the table is at hand, the head is a part of it.
        let head = precision.head.bytes(outputs, width);
        plan.tables = Bytes((plan.tables - head).get().max(0.0));
    }
    product(Matrix::new(Role::Head, width, outputs, model.head_bias), device, Rows::Logits, plan);
    let vocab = model.vocab as f64;
    if device.tensor > 1 {
        let bytes = Bytes(vocab * dtype.bytes_per_element());
        let gather = Collective::AllGather { devices: device.tensor, bytes };
        plan.push(1, Work::Rows(Rows::Logits, Operator::new(Part::Communication, Kind::Exchange(gather))));
    }
    let sampling = Operator::rowwise(Part::Sampling, RowwiseOp::Softmax, LOGITS, vocab);
    plan.push(1, Work::Rows(Rows::Logits, sampling));
}

/// Adds the product with a matrix that is in no layer.
fn product(matrix: Matrix, device: Device<'_>, of: Rows, plan: &mut Plan) {
    let dtype = device.precision.activations;
    let product = device.product(matrix, 0);
    if let Some(one) = quantization(dtype, product.format.activations, product.inputs) {
        plan.push(1, Work::Rows(of, one));
    }
    plan.push(1, Work::Rows(of, product.operator(dtype)));
}
