//! Which nodes become one step together.
//!
//! Two folds, both with the only reader of a product: a value added to it is what the product starts from, and GELU of it is taken while its result is at hand.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::ops::Func;
use crate::{Form, Graph, Linear, Node, NodeId, PointBuilder, PointProgram, Rate, Rows, Wire, rates};

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
    /// As the end of an elementwise program.
    Cluster(Cluster),
    /// Not at all: elementwise programs read the columns where they are, and write the gradient with respect to them there.
    View,
}

/// An elementwise program, made of the scalar functions that nothing else reads.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) program: Arc<PointProgram>,
    /// What its inputs are.
    pub(super) operands: Vec<Wire>,
}

/// The units of a graph, by node.
pub(super) fn units(graph: &Graph) -> Vec<Unit> {
    let (readers, rates) = (readers(graph), rates(graph));
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
    let mut views = Vec::new();
    for id in graph.ids() {
        let node = graph.node(id);
        // A slower value isn't drawn into a faster one: it would be computed more often.
        let only = |wire: Wire| {
            let (i, plain) = (wire.node.index(), is_plain(&units[wire.node.index()]));
            readers[i].len() == 1 && rates[i] == rates[id.index()] && plain
        };
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
                let found =
                    product(of).filter(|found| only(of) && found.layer.bias.is_some() && found.layer.out > 1);
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
            Some(Form::Columns(_)) if node.shapes[0].rows != Rows::Once => {
                let place = place(graph, &units, id);
                // A program writes gradients where the columns are, so those that one program may read must lie apart.
                if !views.iter().any(|other| overlap(other, &place))
                    && place.1.len() < graph.shape(place.0).width
                {
                    views.push(place);
                    units[id.index()] = Unit::View;
                }
            }
            _ => {}
        }
    }
    for id in graph.ids().rev() {
        join(graph, &readers, &rates, &mut units, id);
    }
    units
}

/// The value that columns belong to, and which of its columns they are.
fn place(graph: &Graph, units: &[Unit], columns: NodeId) -> (Wire, Range<usize>) {
    let (mut of, mut start) = (Wire { node: columns, output: 0 }, 0);
    while let Some(Form::Columns(range)) = form(graph.node(of.node)) {
        if of.node != columns && !matches!(units[of.node.index()], Unit::View) {
            break;
        }
        start += range.start;
        of = graph.node(of.node).inputs[0];
    }
    (of, start..start + graph.node(columns).shapes[0].width)
}

/// Whether a program could read both of two places, which share columns: it reads rows of one width.
fn overlap((a, of_a): &(Wire, Range<usize>), (b, of_b): &(Wire, Range<usize>)) -> bool {
    a == b && of_a.len() == of_b.len() && of_a.start < of_b.end && of_b.start < of_a.end
}

/// Joins a scalar function with those before it that nothing else reads.
fn join(graph: &Graph, readers: &[Vec<NodeId>], rates: &[Rate], units: &mut [Unit], end: NodeId) {
    let is_point = |units: &[Unit], id: NodeId| {
        let rows = graph.node(id).shapes[0].rows;
        let alone = matches!(units[id.index()], Unit::Alone) && rows != Rows::Once;
        alone && matches!(form(graph.node(id)), Some(Form::Point(_)))
    };
    if !is_point(units, end) {
        return;
    }
    let mut members = BTreeSet::from([end]);
    // Later nodes first, so that all readers of a node have been looked at before it.
    let mut open: BTreeSet<NodeId> = graph.node(end).inputs.iter().map(|wire| wire.node).collect();
    while let Some(id) = open.pop_last() {
        let own = readers[id.index()].iter().all(|reader| members.contains(reader));
        if own && rates[id.index()] == rates[end.index()] && is_point(units, id) {
            members.insert(id);
            if operands(graph, &members).len() > OPERANDS {
                members.remove(&id);
            } else {
                open.extend(graph.node(id).inputs.iter().map(|wire| wire.node));
            }
        }
    }
    let node = graph.node(end);
    let plain = |wire: &Wire| {
        graph.shape(*wire).rows != Rows::Once && !matches!(units[wire.node.index()], Unit::View)
    };
    if members.len() == 1
        && matches!(form(node), Some(Form::Point(Func::Add)))
        && node.inputs.iter().all(plain)
    {
        return;
    }
    let operands = operands(graph, &members);
    let mut code = PointBuilder::new(operands.len());
    let mut made: HashMap<Wire, usize> = HashMap::new();
    for (i, wire) in operands.iter().enumerate() {
        made.insert(*wire, code.input(i));
    }
    for id in &members {
        if let Some(Form::Point(func)) = form(graph.node(*id)) {
            let inputs = &graph.node(*id).inputs;
            let (a, b) = (made[&inputs[0]], made[inputs.last().unwrap_or(&inputs[0])]);
            made.insert(Wire { node: *id, output: 0 }, code.apply(func, [a, b]));
        }
    }
    let program = Arc::new(code.finish(&[made[&Wire { node: end, output: 0 }]]));
    for id in members {
        units[id.index()] = Unit::Within;
    }
    units[end.index()] = Unit::Cluster(Cluster { program, operands });
}

/// What some scalar functions read, each once.
fn operands(graph: &Graph, members: &BTreeSet<NodeId>) -> Vec<Wire> {
    let mut operands: Vec<Wire> = Vec::new();
    for wire in members.iter().flat_map(|id| &graph.node(*id).inputs) {
        if !members.contains(&wire.node) && !operands.contains(wire) {
            operands.push(*wire);
        }
    }
    operands
}

/// The most that a program reads: backward, a step also has the gradient with respect to each, and that of the result, and engines take
/// 16 places.
const OPERANDS: usize = 7;

fn is_plain(unit: &Unit) -> bool {
    matches!(unit, Unit::Product(Product { residual: None, gelu: None, .. }))
}

/// The nodes that read each node; what is read from outside is read once more, by nobody (the node itself).
fn readers(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut readers = vec![Vec::new(); graph.nodes().len()];
    for id in graph.ids() {
        for wire in &graph.node(id).inputs {
            readers[wire.node.index()].push(id);
        }
    }
    for wire in graph.ends() {
        readers[wire.node.index()].push(wire.node);
    }
    readers
}

/// The form of an operation; `None` for the input and states.
pub(super) fn form(node: &Node) -> Option<Form<'_>> {
    node.op().map(crate::Op::form)
}
