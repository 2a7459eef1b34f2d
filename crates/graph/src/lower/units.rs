//! Which nodes become one step together.
//!
//! Two folds, both with the only reader of a product: a value added to it is what the product starts from, and GELU of it is taken while its result is at hand.

use crate::ops::Func;
use crate::{Form, Graph, Linear, Node, NodeId, Wire};

/// A product with what it starts from and what is done to it at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) layer: Linear,
    pub(super) x: Wire,
    /// The product itself.
    pub(super) own: Wire,
    /// What it is added to.
    pub(super) residual: Option<Wire>,
    /// Its GELU.
    pub(super) gelu: Option<Wire>,
}

/// How each node is computed.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    /// By itself.
    Alone,
    /// With the product that a later node stands for.
    Within,
    /// With the product that this node stands for.
    Product(Product),
}

/// The units of a graph, by node.
pub(super) fn units(graph: &Graph) -> Vec<Unit> {
    let readers = readers(graph);
    let mut units = vec![Unit::Alone; graph.nodes().len()];
    let product = |wire: Wire| -> Option<Product> {
        let Form::Linear(layer) = form(graph.node(wire.node))? else { return None };
        let x = graph.node(wire.node).inputs[0];
        Some(Product { layer, x, own: wire, residual: None, gelu: None })
    };
    for id in graph.ids() {
        if let Some(product) = product(Wire { node: id, output: 0 }) {
            units[id.index()] = Unit::Product(product);
        }
    }
    for id in graph.ids() {
        let node = graph.node(id);
        let only = |wire: Wire| readers[wire.node.index()].len() == 1 && is_plain(&units[wire.node.index()]);
        match form(node) {
            Some(Form::Point(Func::Add)) => {
                let [a, b] = [node.inputs[0], node.inputs[1]];
                let folds = [(a, b), (b, a)].into_iter().find_map(|(residual, of)| {
                    let found = product(of).filter(|_| only(of) && residual != of)?;
                    let fits = found.layer.bias.is_some() && graph.shape(residual) == graph.shape(of);
                    (fits && found.layer.out > 1).then_some(Product { residual: Some(residual), ..found })
                });
                if let Some(product) = folds {
                    units[product.own.node.index()] = Unit::Within;
                    units[id.index()] = Unit::Product(product);
                }
            }
            Some(Form::Point(Func::Gelu)) => {
                let (of, result) = (node.inputs[0], Wire { node: id, output: 0 });
                let found = product(of).filter(|found| only(of) && found.layer.bias.is_some());
                // Backward, the GELU is taken again within the product that reads it.
                let into_product = match readers[id.index()].as_slice() {
                    [reader] => product(Wire { node: *reader, output: 0 }).is_some_and(|p| p.layer.out > 1),
                    _ => false,
                };
                if let Some(found) = found.filter(|_| into_product) {
                    units[of.node.index()] = Unit::Within;
                    units[id.index()] = Unit::Product(Product { gelu: Some(result), ..found });
                }
            }
            _ => {}
        }
    }
    units
}

fn is_plain(unit: &Unit) -> bool {
    matches!(unit, Unit::Product(Product { residual: None, gelu: None, .. }))
}

/// The nodes that read each node; what the loop carries on, and what is predicted, is read once more, by nobody (the node itself).
fn readers(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut readers = vec![Vec::new(); graph.nodes().len()];
    for id in graph.ids() {
        for wire in &graph.node(id).inputs {
            readers[wire.node.index()].push(id);
        }
    }
    let ends = graph.carried().iter().flat_map(|carried| [carried.first, carried.next]);
    for wire in ends.chain(graph.read()) {
        readers[wire.node.index()].push(wire.node);
    }
    readers
}

/// The form of an operation; `None` for the input and states.
pub(super) fn form(node: &Node) -> Option<Form<'_>> {
    node.op().map(crate::Op::form)
}
