//! A cell's elementwise code as the kernels' code.

use looped_graph::cell::{Buffers, Code, Rows, When, Window};
use looped_ops::{Place, PointCode, PointResult};

use crate::code::steps;

/// Code whose operands are all buffers of the cell, and whose blocks are the tokens.
pub(super) fn compile(buffers: &Buffers, of: &Code) -> PointCode {
    let Code { program, inputs, results } = of;
    let place = |window: &Window| {
        let buffer = buffers.0[window.view.buffer];
        let block = match buffer.rows {
            Rows::One | Rows::Token => None,
            Rows::All | Rows::States => Some(usize::from(window.view.when == When::After)),
        };
        Place { operand: window.view.buffer, column: window.column, stride: buffer.width, block }
    };
    let inputs: Vec<Place> = inputs.iter().map(place).collect();
    let width = results.first().map_or(0, |(_, window, _)| window.width);
    let results: Vec<PointResult> = results
        .iter()
        .map(|(reg, window, add)| PointResult { value: *reg, place: place(window), add: *add })
        .collect();
    PointCode::new(width, &steps(program), &inputs, &results)
}
