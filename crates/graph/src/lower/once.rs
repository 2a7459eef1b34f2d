//! Rows that are the same for all prompts: which of them are computed, how often, and where each lies.

use std::collections::HashMap;

use super::units::form;
use super::{Program, Shared};
use crate::{Form, Graph, Node, NodeId, Rate, Rows, Wire, rates};

/// An operation on rows that are the same for all prompts, computed once for them.
#[derive(Clone, Debug)]
pub struct Once {
    /// The node.
    pub node: NodeId,
    /// The places of its results among all such.
    pub results: Vec<usize>,
}

impl Program {
    /// The operations on parameters alone, computed once a step: their results are [`Shared::Step`].
    #[must_use]
    pub fn once_a_step(graph: &Graph) -> Vec<Once> {
        computed(graph, Rate::Step)
    }

    /// The operations on parameters and rows by loop, computed once for each loop: their results are [`Shared::EachLoop`].
    #[must_use]
    pub fn once_a_loop(graph: &Graph) -> Vec<Once> {
        computed(graph, Rate::Loop)
    }

    /// Where each row lies that is the same for all prompts.
    #[must_use]
    pub fn shared(graph: &Graph) -> HashMap<Wire, Shared> {
        let mut shared = HashMap::new();
        for node in graph.ids() {
            let row = match form(graph.node(node)) {
                Some(Form::Parameter(param)) => Shared::Param(param),
                Some(Form::ByLoop(of)) if !of.is_mixed() => {
                    Shared::Loop { table: of.table, rows: of.rows(), beyond: of.beyond }
                }
                _ => continue,
            };
            shared.insert(Wire { node, output: 0 }, row);
        }
        type Of = fn(usize) -> Shared;
        let lists: [(Vec<Once>, Of); 2] =
            [(Self::once_a_step(graph), Shared::Step), (Self::once_a_loop(graph), Shared::EachLoop)];
        for (list, of) in lists {
            for Once { node, results } in list {
                let wires = results.into_iter().enumerate();
                shared.extend(wires.map(|(output, place)| (Wire { node, output }, of(place))));
            }
        }
        shared
    }
}

fn computed(graph: &Graph, rate: Rate) -> Vec<Once> {
    let mut count = 0;
    let mut all = Vec::new();
    for (id, of) in graph.ids().zip(rates(graph)) {
        let node = graph.node(id);
        if of == rate && !lies_there(node) && node.shapes.iter().all(|shape| shape.rows == Rows::Once) {
            let results = node.shapes.iter().map(|_| {
                count += 1;
                count - 1
            });
            all.push(Once { node: id, results: results.collect() });
        }
    }
    all
}

/// Whether a node's row is read where it lies.
fn lies_there(node: &Node) -> bool {
    match form(node) {
        Some(Form::ByLoop(of)) => !of.is_mixed(),
        Some(Form::Parameter(_) | Form::Fill(_)) | None => true,
        _ => false,
    }
}
