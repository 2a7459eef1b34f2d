//! A step's weights: packed once, read by all threads.

use std::collections::HashMap;
use std::ops::Range;

use looped_graph::lower::{Program, RowMatrix, Shared};
use looped_graph::ops::Product;
use looped_graph::{Form, Graph, Linear, Node, Op, Param, Source};
use looped_ops::{Kernels, PackedMatrix, Precision};
use rayon::prelude::*;

use crate::layout::Layout;

/// The weights of one step.
pub(crate) struct Weights<'a> {
    pub(crate) graph: &'a Graph,
    /// Products in the run's precision.
    pub(crate) kernels: Kernels,
    /// Products in f32.
    pub(crate) exact: Kernels,
    pub(crate) layout: &'a Layout,
    /// Parameters, and what was computed of them.
    pub(crate) flat: &'a [f32],
    /// Loops that rows were computed for.
    loops: usize,
    packed: Vec<Packed>,
    /// Matrices that are rows, by where they lie.
    rows: HashMap<usize, Packed>,
}

/// A weight for x W^T and for dy W.
#[derive(Default)]
struct Packed {
    forward: Option<PackedMatrix>,
    transposed: Option<PackedMatrix>,
}

/// All linear layers of a graph, those within recurrences too.
pub(crate) fn layers(graph: &Graph) -> Vec<Linear> {
    let mut layers = Vec::new();
    let mut note = |source: &Source| {
        if let Source::Op(op) = source
            && let Form::Linear(layer) = op.form()
        {
            layers.push(layer);
        }
    };
    for node in graph.nodes() {
        note(&node.source);
        if let Some(Form::Recur(cell)) = node.op().map(Op::form) {
            cell.nodes.iter().for_each(|node| note(&node.source));
        }
    }
    layers
}

impl<'a> Weights<'a> {
    /// Packs the weights of `layers`, for the way back too if `training`.
    pub(crate) fn new(
        graph: &'a Graph,
        layers: &[Linear],
        layout: &'a Layout,
        flat: &'a [f32],
        kernels: Kernels,
        training: bool,
        loops: usize,
    ) -> Self {
        let exact = kernels.with_precision(Precision::F32);
        let pack = |layer: &Linear| {
            let kernels = if layer.exact { exact } else { kernels };
            let weight = &flat[layout.param(layer.weight)];
            // A product with one column is a dot product of the weight as it is.
            if layer.out == 1 {
                return (layer.weight, Packed::default());
            }
            let (out, inputs) = (layer.out, layer.inputs);
            let forward = Some(PackedMatrix::linear_forward(kernels, weight, out, inputs));
            let back = || PackedMatrix::linear_backward(kernels, weight, out, inputs);
            (layer.weight, Packed { forward, transposed: training.then(back) })
        };
        let mut packed: Vec<Packed> =
            std::iter::repeat_with(Packed::default).take(graph.params().len()).collect();
        for (param, of) in layers.par_iter().map(pack).collect::<Vec<_>>() {
            packed[param.index()] = of;
        }
        let mut rows = HashMap::new();
        for RowMatrix { row, out, inputs } in row_matrices(graph) {
            let many = if let Shared::Loop { rows, .. } = row { rows } else { loops };
            for index in 0..many {
                let range = layout.shared(row, index);
                rows.entry(range.start).or_insert_with(|| {
                    let matrix = &flat[range];
                    let back = || PackedMatrix::linear_backward(kernels, matrix, out, inputs);
                    let forward = Some(PackedMatrix::linear_forward(kernels, matrix, out, inputs));
                    Packed { forward, transposed: training.then(back) }
                });
            }
        }
        Self { graph, kernels, exact, layout, flat, loops, packed, rows }
    }

    pub(crate) fn param(&self, param: Param) -> &[f32] {
        &self.flat[self.layout.param(param)]
    }

    /// Where a row lies that is the same for all prompts, in a loop; a loop after those that rows were computed for has the last one's.
    pub(crate) fn row(&self, row: Shared, index: usize) -> Range<usize> {
        match row {
            Shared::EachLoop(_) => self.layout.shared(row, index.min(self.loops.saturating_sub(1))),
            _ => self.layout.shared(row, index),
        }
    }

    /// The packed weight of a layer.
    pub(crate) fn matrix(&self, param: Param, transposed: bool) -> &PackedMatrix {
        self.packed[param.index()].of(transposed)
    }

    /// The packed matrix that is a row, in a loop.
    pub(crate) fn row_matrix(&self, matrix: RowMatrix, index: usize, transposed: bool) -> &PackedMatrix {
        self.rows[&self.row(matrix.row, index).start].of(transposed)
    }
}

impl Packed {
    fn of(&self, transposed: bool) -> &PackedMatrix {
        let matrix = if transposed { &self.transposed } else { &self.forward };
        matrix
            .as_ref()
            .unwrap_or_else(|| unreachable!("a program asks for the weights of its graph's layers alone"))
    }
}

/// The matrices of a graph that are rows.
fn row_matrices(graph: &Graph) -> Vec<RowMatrix> {
    let shared = Program::shared(graph);
    let of = |node: &Node| match node.op().map(Op::form) {
        Some(Form::Product(Product { out, inputs })) => {
            let row = *shared.get(&node.inputs[1])?;
            Some(RowMatrix { row, out, inputs })
        }
        _ => None,
    };
    graph.nodes().iter().filter_map(of).collect()
}
