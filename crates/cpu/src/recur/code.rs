//! A cell's elementwise code as the kernels' code.

use looped_graph::cell::{Buffers, Code, View, Window};
use looped_ops::{Place, PointCode, PointResult};

use crate::code::steps;

/// Code and what its operands are.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    /// In order.
    pub(super) views: Vec<View>,
    pub(super) code: PointCode,
}

impl Compiled {
    pub(super) fn new(buffers: &Buffers, of: &Code) -> Self {
        let Code { program, inputs, results } = of;
        let views = of.views();
        let place = |window: &Window| Place {
            // An input that isn't read has no operand, and its place isn't looked at.
            operand: views.binary_search(&window.view).unwrap_or(0),
            column: window.column,
            stride: buffers.0[window.view.buffer].width,
        };
        let inputs: Vec<Place> = inputs.iter().map(place).collect();
        let width = results.first().map_or(0, |(_, window, _)| window.width);
        let results: Vec<PointResult> = results
            .iter()
            .map(|(reg, window, add)| PointResult { value: *reg, place: place(window), add: *add })
            .collect();
        let code = PointCode::new(width, &steps(program), &inputs, &results);
        Self { views, code }
    }
}
