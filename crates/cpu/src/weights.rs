//! A step's weights: packed once, read by all threads.

use std::collections::{HashMap, HashSet};
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
    packed: &'a Packed,
}

/// Packed weights. Their memory is kept from call to call: given back and asked for again each time, it comes to lie elsewhere, and the
/// process grows.
#[derive(Default)]
pub(crate) struct Packed {
    /// Of parameters, in the graph's order.
    params: Vec<Both>,
    /// Matrices that are rows, by where they lie.
    rows: HashMap<usize, Both>,
}

/// A weight for x W^T and for dy W.
#[derive(Default)]
struct Both {
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
    /// Packs the weights of `layers` in `packed`, for the way back too if `training`.
    pub(crate) fn new(
        graph: &'a Graph,
        layers: &[Linear],
        layout: &'a Layout,
        flat: &'a [f32],
        (kernels, training): (Kernels, bool),
        loops: usize,
        packed: &'a mut Packed,
    ) -> Self {
        let exact = kernels.with_precision(Precision::F32);
        let mut of: Vec<Option<&Linear>> = vec![None; graph.params().len()];
        // A product with one column is a dot product of the weight as it is.
        for layer in layers.iter().filter(|layer| layer.out > 1) {
            of[layer.weight.index()] = Some(layer);
        }
        packed.params.resize_with(of.len(), Both::default);
        packed.params.par_iter_mut().zip(of).for_each(|(both, layer)| {
            if let Some(layer) = layer {
                let kernels = if layer.exact { exact } else { kernels };
                both.pack(&flat[layout.param(layer.weight)], [layer.out, layer.inputs], kernels, training);
            }
        });
        let mut seen = HashSet::new();
        for RowMatrix { row, out, inputs } in row_matrices(graph) {
            let many = if let Shared::Loop { rows, .. } = row { rows } else { loops };
            for index in 0..many {
                let range = layout.shared(row, index);
                if seen.insert(range.start) {
                    let both = packed.rows.entry(range.start).or_default();
                    both.pack(&flat[range], [out, inputs], kernels, training);
                }
            }
        }
        Self { graph, kernels, exact, layout, flat, loops, packed }
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
        self.packed.params[param.index()].of(transposed)
    }

    /// The packed matrix that is a row, in a loop.
    pub(crate) fn row_matrix(&self, matrix: RowMatrix, index: usize, transposed: bool) -> &PackedMatrix {
        self.packed.rows[&self.row(matrix.row, index).start].of(transposed)
    }
}

impl Both {
    /// Packs a weight (out, inputs).
    fn pack(&mut self, weight: &[f32], [out, inputs]: [usize; 2], kernels: Kernels, training: bool) {
        let forward = self.forward.get_or_insert_default();
        forward.resize(kernels, inputs, out);
        forward.pack_transposed(weight);
        if training {
            let transposed = self.transposed.get_or_insert_default();
            transposed.resize(kernels, out, inputs);
            transposed.pack(weight);
        }
    }

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
