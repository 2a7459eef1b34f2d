//! The recording of a graph.

use std::cell::RefCell;
use std::panic::Location;
use std::sync::Arc;

use crate::error::list;
use crate::graph::{Carried, Graph, Node, NodeId, Source, Wire};
use crate::ops::Beyond;
use crate::{Form, Op, Param, ParamInfo, Params, Shape, TraceError, Value, ops};

/// A graph while it is recorded.
///
/// The first mistake is kept, with its place, and later operations do nothing; [`Trace::finish`] tells it. So a block's code has no `?`.
#[derive(Debug, Default)]
pub struct Trace {
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    nodes: Vec<Node>,
    params: Vec<ParamInfo>,
    carried: Vec<(Wire, Wire, Option<Wire>)>,
    read: Option<Wire>,
    noise: usize,
    scope: String,
    error: Option<TraceError>,
}

/// A value that goes from loop to loop, in its first half: what it is next isn't recorded yet.
#[derive(Clone, Copy, Debug)]
#[must_use = "a state needs its next value: Trace::next"]
pub struct State<'t> {
    index: usize,
    value: Value<'t>,
}

impl<'t> State<'t> {
    /// The state as the last loop left it.
    #[must_use]
    pub const fn value(self) -> Value<'t> {
        self.value
    }
}

/// Stands for a value that was never recorded, since something before it was wrong.
pub(crate) const NOTHING: Wire = Wire { node: NodeId(u32::MAX), output: 0 };

impl Trace {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Its parameters.
    #[must_use]
    pub fn params(&self) -> Params<'_> {
        Params::new(self)
    }

    /// Records `part` under a name, which errors and tables show.
    pub fn scope<T>(&self, name: impl std::fmt::Display, part: impl FnOnce() -> T) -> T {
        let outer = self.inner.borrow().scope.clone();
        let inner = if outer.is_empty() { name.to_string() } else { format!("{outer}.{name}") };
        self.inner.borrow_mut().scope = inner;
        let result = part();
        self.inner.borrow_mut().scope = outer;
        result
    }

    /// The prompt's tokens as they are given, `width` numbers each.
    #[must_use]
    #[track_caller]
    pub fn input(&self, width: usize) -> Value<'_> {
        let wire = self.push(Source::Input, &[], vec![Shape::tokens(width)], Location::caller());
        Value::new(self, wire)
    }

    /// The same, and beside each token `noise` numbers that are drawn for it from N(0, 1).
    ///
    /// Engines are given both as one row, so that none of them draws anything.
    #[must_use]
    #[track_caller]
    pub fn input_beside_noise(&self, width: usize, noise: usize) -> [Value<'_>; 2] {
        self.inner.borrow_mut().noise = noise;
        let row = self.input(width + noise);
        [row.columns(0..width), row.columns(width..width + noise)]
    }

    /// A value that goes from loop to loop, from `first` on.
    #[track_caller]
    pub fn carry<'t>(&'t self, first: Value<'t>) -> State<'t> {
        let index = self.inner.borrow().carried.len();
        let wire = if first.wire() == NOTHING {
            NOTHING
        } else {
            self.push(Source::State(index), &[], vec![first.shape()], Location::caller())
        };
        self.inner.borrow_mut().carried.push((first.wire(), wire, None));
        State { index, value: Value::new(self, wire) }
    }

    /// What a state is after the loop.
    #[track_caller]
    pub fn next<'t>(&'t self, state: State<'t>, next: Value<'t>) {
        let (had, has) = (state.value, next);
        if had.wire() != NOTHING && has.wire() != NOTHING && had.shape() != has.shape() {
            let what = format!("the state is {} before the loop and {} after it", had.shape(), has.shape());
            return self.fail(what, Location::caller());
        }
        self.inner.borrow_mut().carried[state.index].2 = Some(next.wire());
    }

    /// What is predicted at each row after a loop.
    pub fn read(&self, prediction: Value<'_>) {
        self.inner.borrow_mut().read = Some(prediction.wire());
    }

    /// A parameter as one row of numbers.
    #[must_use]
    #[track_caller]
    pub fn param(&self, param: Param) -> Value<'_> {
        // One node for each, so that its gradient comes together in one place.
        let known = self.inner.borrow().nodes.iter().position(
            |node| matches!(node.op().map(Op::form), Some(Form::Parameter(known)) if known == param),
        );
        match known {
            Some(node) => Value::new(self, Wire { node: NodeId(node as u32), output: 0 }),
            None => self.op(ops::Parameter::new(self, param), &[]),
        }
    }

    /// The row of a table that belongs to the present loop.
    #[track_caller]
    pub(crate) fn by_loop(&self, table: Param, beyond: Beyond) -> Value<'_> {
        let known =
            self.inner.borrow().nodes.iter().enumerate().find_map(|(i, node)| match node.op()?.form() {
                Form::ByLoop(known) if known.table == table => Some((i, known.beyond)),
                _ => None,
            });
        match known {
            Some((node, known)) if known == beyond => {
                Value::new(self, Wire { node: NodeId(node as u32), output: 0 })
            }
            Some((_, known)) => {
                let name = self.param_info(table).name;
                let what = format!("loops beyond `{name}` get its rows by {known:?} and by {beyond:?}");
                self.fail(what, Location::caller());
                Value::new(self, NOTHING)
            }
            None => self.op(ops::ByLoop::new(self, table, beyond), &[]),
        }
    }

    /// Records an operation with one result.
    #[track_caller]
    pub fn op<'t>(&'t self, op: impl Op, inputs: &[Value<'t>]) -> Value<'t> {
        let [value] = self.op_many(op, inputs);
        value
    }

    /// Records an operation with `N` results.
    #[track_caller]
    pub fn op_many<'t, const N: usize>(&'t self, op: impl Op, inputs: &[Value<'t>]) -> [Value<'t>; N] {
        let nothing = [Value::new(self, NOTHING); N];
        if self.failed() || inputs.iter().any(|value| value.wire() == NOTHING) {
            return nothing;
        }
        let at = Location::caller();
        let shapes: Vec<Shape> = inputs.iter().map(|value| value.shape()).collect();
        match op.shapes(&shapes) {
            Ok(results) if results.len() == N => {
                let wires: Vec<Wire> = inputs.iter().map(|value| value.wire()).collect();
                let first = self.push(Source::Op(Arc::new(op)), &wires, results, at);
                std::array::from_fn(|output| Value::new(self, Wire { output, ..first }))
            }
            Ok(results) => {
                self.fail(format!("{} has {} results, not {N}", op.name(), results.len()), at);
                nothing
            }
            Err(why) => {
                self.fail(format!("{} of {}: {why}", op.name(), list(&shapes)), at);
                nothing
            }
        }
    }

    /// The recorded graph.
    ///
    /// # Errors
    /// The first mistake that was made.
    #[track_caller]
    pub fn finish(self) -> Result<Graph, TraceError> {
        let at = Location::caller();
        let Inner { nodes, params, carried, read, noise, scope, error } = self.inner.into_inner();
        if let Some(error) = error {
            return Err(error);
        }
        let whole = |(first, state, next): (Wire, Wire, Option<Wire>)| {
            let next = next.ok_or_else(|| TraceError {
                scope: scope.clone(),
                what: "a state that is carried has no next value".to_owned(),
                at,
            })?;
            Ok(Carried { first, state, next })
        };
        let carried = carried.into_iter().map(whole).collect::<Result<_, _>>()?;
        Ok(Graph { nodes, params, carried, read, noise })
    }

    /// A trace for the cell of a recurrence: it knows this one's parameters and adds none.
    pub(crate) fn for_cell(&self) -> Self {
        let (params, scope) = {
            let inner = self.inner.borrow();
            (inner.params.clone(), inner.scope.clone())
        };
        Self { inner: RefCell::new(Inner { params, scope, ..Inner::default() }) }
    }

    /// A state of a cell before the token.
    #[track_caller]
    pub(crate) fn cell_state(&self, index: usize, width: usize) -> Value<'_> {
        let wire = self.push(Source::State(index), &[], vec![Shape::tokens(width)], Location::caller());
        Value::new(self, wire)
    }

    /// The nodes of a cell.
    pub(crate) fn finish_cell(self) -> Result<Vec<Node>, TraceError> {
        let Inner { nodes, error, .. } = self.inner.into_inner();
        error.map_or(Ok(nodes), Err)
    }

    pub(crate) fn shape(&self, wire: Wire) -> Shape {
        match self.inner.borrow().nodes.get(wire.node.index()) {
            Some(node) => node.shapes[wire.output],
            None => Shape::tokens(0),
        }
    }

    /// Whether a value is the prompt's tokens as they are given, or columns of them.
    pub(crate) fn is_input(&self, wire: Wire) -> bool {
        let nodes = &self.inner.borrow().nodes;
        let mut node = nodes.get(wire.node.index());
        while let Some(Form::Columns(_)) = node.and_then(|node| node.op().map(Op::form)) {
            node = node.map(|node| &nodes[node.inputs[0].node.index()]);
        }
        node.is_some_and(|node| matches!(node.source, Source::Input))
    }

    pub(crate) fn param_info(&self, param: Param) -> ParamInfo {
        self.inner.borrow().params[param.index()].clone()
    }

    pub(crate) fn set_probe(&self, wire: Wire, name: &str) {
        if let Some(node) = self.inner.borrow_mut().nodes.get_mut(wire.node.index()) {
            node.probe = Some(name.to_owned());
        }
    }

    #[track_caller]
    pub(crate) fn add_param(&self, info: ParamInfo) -> Param {
        let found = self.inner.borrow().params.iter().position(|known| known.name == info.name);
        let Some(found) = found else {
            let mut inner = self.inner.borrow_mut();
            inner.params.push(info);
            return Param(inner.params.len() as u32 - 1);
        };
        let known = self.inner.borrow().params[found].clone();
        let name = &info.name;
        if !known.shared || !info.shared {
            self.fail(
                format!(
                    "{name} is asked for twice, so two layers would share it; give each layer a scope of its own, or ask by Params::shared \
                     if they are to share it"
                ),
                Location::caller(),
            );
        } else if known.dims != info.dims {
            let what = format!("{name} has shape {:?}, asked for as {:?}", known.dims, info.dims);
            self.fail(what, Location::caller());
        }
        Param(found as u32)
    }

    pub(crate) fn fail(&self, what: String, at: &'static Location<'static>) {
        let mut inner = self.inner.borrow_mut();
        if inner.error.is_none() {
            inner.error = Some(TraceError { scope: inner.scope.clone(), what, at });
        }
    }

    fn failed(&self) -> bool {
        self.inner.borrow().error.is_some()
    }

    fn push(
        &self,
        source: Source,
        inputs: &[Wire],
        shapes: Vec<Shape>,
        at: &'static Location<'static>,
    ) -> Wire {
        let mut inner = self.inner.borrow_mut();
        let scope = inner.scope.as_str().into();
        inner.nodes.push(Node { source, inputs: inputs.to_vec(), shapes, scope, probe: None, at });
        Wire { node: NodeId(inner.nodes.len() as u32 - 1), output: 0 }
    }
}
