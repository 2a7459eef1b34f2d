//! The writing of steps: values, gradients and the memory between them.

use std::cell::Cell;
use std::collections::HashMap;

use super::arena::{Buf, Buffer, Draft, NOTHING};
use super::units::{Product, Unit, form};
use super::{Chunk, Engine, Kernel, Place, RecurRoom, Shared};
use crate::{Demand, Form, Graph, NodeId, Rate, Rows, Wire};

/// A graph with all that is known of it.
pub(super) struct Known<'g> {
    pub(super) graph: &'g Graph,
    pub(super) units: Vec<Unit>,
    pub(super) rates: Vec<Rate>,
    pub(super) needs: Vec<bool>,
    /// Tokens of a prompt, uncut: what `last n` counts from.
    pub(super) tokens: usize,
    /// Where each row lies that is the same for all prompts.
    pub(super) shared: HashMap<Wire, Shared>,
    pub(super) engine: &'g dyn Engine,
    /// Elementwise programs so far.
    pub(super) points: Cell<usize>,
}

impl Known<'_> {
    /// The number of the next elementwise program.
    pub(super) fn next_point(&self) -> usize {
        self.points.replace(self.points.get() + 1)
    }

    /// The room that a recurrence takes; none where it runs by its meaning.
    pub(super) fn recur_room(&self, node: NodeId, chunk: &Chunk, prefix: bool) -> RecurRoom {
        self.engine.recur(node, chunk.sequences, chunk.tokens, prefix).unwrap_or_default()
    }
}

/// What the early tokens left for the later ones, at one operation that sees earlier rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) values: Place,
    pub(super) gradient: Place,
}

/// Where a gradient is written.
pub(super) struct Target {
    wire: Wire,
    pub(super) buf: Buf,
    /// Whether it must be added to.
    pub(super) add: bool,
    scatter: bool,
}

/// Steps forward and backward over some of a graph's nodes.
pub(super) struct Emit<'g> {
    pub(super) known: &'g Known<'g>,
    pub(super) chunk: &'g Chunk,
    pub(super) demand: Vec<Demand>,
    /// What earlier tokens left, by node.
    pub(super) before: &'g HashMap<NodeId, Memory>,
    /// What is to be left for later tokens, by node.
    pub(super) leaves: HashMap<NodeId, Memory>,
    /// Whether a backward list follows.
    pub(super) training: bool,
    pub(super) buffers: Vec<Buffer>,
    pub(super) lists: [Vec<Draft>; 2],
    pub(super) backward: bool,
    /// Values from outside, with their rows.
    pub(super) given: HashMap<Wire, (Buf, Demand)>,
    /// Where some values are wanted.
    sent: HashMap<Wire, Place>,
    /// Values of the forward list, and those computed again in the backward one.
    values: [HashMap<Wire, Buf>; 2],
    gathered: [HashMap<Wire, Buf>; 2],
    extra: [HashMap<(NodeId, usize), Buf>; 2],
    pub(super) grads: HashMap<Wire, Buf>,
    at: NodeId,
}

impl<'g> Emit<'g> {
    pub(super) fn new(
        known: &'g Known<'g>,
        chunk: &'g Chunk,
        demand: Vec<Demand>,
        before: &'g HashMap<NodeId, Memory>,
        training: bool,
    ) -> Self {
        Self {
            known,
            chunk,
            demand,
            before,
            leaves: HashMap::new(),
            training,
            buffers: Vec::new(),
            lists: [Vec::new(), Vec::new()],
            backward: false,
            given: HashMap::new(),
            sent: HashMap::new(),
            values: [HashMap::new(), HashMap::new()],
            gathered: [HashMap::new(), HashMap::new()],
            extra: [HashMap::new(), HashMap::new()],
            grads: HashMap::new(),
            at: NodeId(0),
        }
    }

    /// A new buffer.
    pub(super) fn buffer(&mut self, len: usize) -> Buf {
        self.buffers.push(Buffer { len, home: None });
        Buf(self.buffers.len() - 1)
    }

    /// A buffer that lies somewhere already.
    pub(super) fn home(&mut self, place: Place) -> Buf {
        if place == Place::NONE {
            return NOTHING;
        }
        self.buffers.push(Buffer { len: place.len as usize, home: Some(place) });
        Buf(self.buffers.len() - 1)
    }

    /// A value from outside.
    pub(super) fn give(&mut self, wire: Wire, buf: Buf, rows: Demand) {
        self.given.insert(wire, (buf, rows));
    }

    /// Whether a value comes from outside.
    pub(super) fn is_given(&self, wire: Wire) -> bool {
        self.given.contains_key(&wire)
    }

    pub(super) fn step(&mut self, kernel: Kernel, bufs: &[Buf]) {
        let draft = Draft { kernel, node: self.at, bufs: bufs.to_vec() };
        self.lists[usize::from(self.backward)].push(draft);
    }

    pub(super) fn graph(&self) -> &'g Graph {
        self.known.graph
    }

    /// Rows of a value: read ones or all; those of a value with a row for each prompt, or one in all, are all.
    pub(super) fn rows_of(&self, wire: Wire) -> Demand {
        match self.given.get(&wire) {
            Some((_, rows)) => *rows,
            None => self.demand[wire.node.index()],
        }
    }

    pub(super) fn rows(&self, rows: Demand) -> usize {
        match rows {
            Demand::None => 0,
            Demand::Read => self.chunk.read_rows(),
            Demand::All => self.chunk.rows(),
        }
    }

    pub(super) fn width(&self, wire: Wire) -> usize {
        self.graph().shape(wire).width
    }

    /// Room for a value of so many rows.
    pub(super) fn room(&mut self, wire: Wire, rows: Demand) -> Buf {
        self.buffer(self.rows(rows) * self.width(wire))
    }

    /// Room for a result of the present node, which becomes its value.
    pub(super) fn define(&mut self, wire: Wire) -> Buf {
        let buf = match self.sent.get(&wire).copied().filter(|_| !self.backward) {
            Some(place) => self.home(place),
            None => self.room(wire, self.rows_of(wire)),
        };
        self.define_as(wire, buf);
        buf
    }

    /// Says where a value is.
    pub(super) fn define_as(&mut self, wire: Wire, buf: Buf) {
        self.values[usize::from(self.backward)].insert(wire, buf);
    }

    /// Lets a value be written where it is wanted.
    pub(super) fn send(&mut self, wire: Wire, place: Place) {
        self.sent.insert(wire, place);
    }

    /// Numbers beside the value that a node computes, for its own backward pass.
    pub(super) fn extra(&mut self, node: NodeId, which: usize, len: usize) -> Buf {
        let buf = self.buffer(len);
        self.extra[usize::from(self.backward)].insert((node, which), buf);
        buf
    }

    /// Says which buffer holds numbers that a node's backward pass will ask for.
    pub(super) fn extra_is(&mut self, node: NodeId, which: usize, buf: Buf) {
        self.extra[usize::from(self.backward)].insert((node, which), buf);
    }

    /// The numbers that [`Emit::extra`] made room for: computed again if the node is cheap.
    pub(super) fn extra_of(&mut self, node: NodeId, which: usize) -> Buf {
        let wire = Wire { node, output: 0 };
        if self.again(wire) {
            self.value(wire);
            return self.extra[1][&(node, which)];
        }
        self.extra[0][&(node, which)]
    }

    /// Whether a value is computed again for the backward list.
    fn again(&self, wire: Wire) -> bool {
        let op = self.graph().node(wire.node).op();
        let light = match &self.known.units[wire.node.index()] {
            Unit::Alone | Unit::View => op.is_some_and(|op| op.light()),
            Unit::Cluster(_) => true,
            Unit::Product(_) | Unit::Within => false,
        };
        let light = light && !op.is_some_and(|op| self.known.engine.keeps(op.form()));
        self.backward && light && !self.given.contains_key(&wire)
    }

    /// A value in its own rows.
    pub(super) fn value(&mut self, wire: Wire) -> Buf {
        if let Some((buf, _)) = self.given.get(&wire) {
            return *buf;
        }
        if self.again(wire) {
            if let Some(buf) = self.values[1].get(&wire) {
                return *buf;
            }
            let at = self.at;
            match &self.known.units[wire.node.index()] {
                Unit::View => {
                    self.at = wire.node;
                    self.alone(wire.node);
                }
                _ => self.forward(wire.node),
            }
            self.at = at;
            return self.values[1][&wire];
        }
        if let (None, Unit::View) = (self.values[0].get(&wire), &self.known.units[wire.node.index()]) {
            let at = self.at;
            self.at = wire.node;
            self.alone(wire.node);
            self.at = at;
        }
        self.values[0][&wire]
    }

    /// A value at the rows that are asked for, its own or fewer.
    pub(super) fn value_at(&mut self, wire: Wire, rows: Demand) -> Buf {
        let of = self.rows_of(wire);
        let buf = self.value(wire);
        if of == rows || self.graph().shape(wire).rows != Rows::Tokens {
            return buf;
        }
        let list = usize::from(self.backward);
        if let Some(found) = self.gathered[list].get(&wire) {
            return *found;
        }
        let some = self.room(wire, rows);
        self.step(Kernel::Gather, &[buf, some]);
        self.gathered[list].insert(wire, some);
        some
    }

    /// The place of a row that is the same for all prompts.
    pub(super) fn shared(&self, wire: Wire) -> Option<Shared> {
        self.known.shared.get(&wire).copied()
    }

    /// Whether anything asks for the gradient with respect to a value.
    pub(super) fn wants(&self, wire: Wire) -> bool {
        self.known.needs[wire.node.index()]
    }

    /// Where to write the gradient with respect to a value at some rows; to be settled when it is written.
    pub(super) fn target(&mut self, wire: Wire, rows: Demand) -> Target {
        let found = self.grads.get(&wire).copied();
        if self.rows_of(wire) == rows {
            let buf = found.unwrap_or_else(|| self.room(wire, rows));
            Target { wire, buf, add: found.is_some(), scatter: false }
        } else {
            Target { wire, buf: self.room(wire, rows), add: false, scatter: true }
        }
    }

    pub(super) fn settle(&mut self, target: Target) {
        if target.scatter {
            let found = self.grads.get(&target.wire).copied();
            self.scatter(target.buf, target.wire, found);
        } else {
            self.grads.insert(target.wire, target.buf);
        }
    }

    /// Writes, with `write`, the gradient with respect to a value at some rows. `write` gets the buffer, and whether it must add to it.
    pub(super) fn into(&mut self, wire: Wire, rows: Demand, write: impl FnOnce(&mut Self, Buf, bool)) {
        let target = self.target(wire, rows);
        write(self, target.buf, target.add);
        self.settle(target);
    }

    /// Hands a gradient at some rows on to a value, unchanged; afterwards `from` means nothing else.
    pub(super) fn hand_over(&mut self, from: Buf, rows: Demand, wire: Wire) {
        let found = self.grads.get(&wire).copied();
        if self.rows_of(wire) != rows {
            self.scatter(from, wire, found);
        } else if let Some(found) = found {
            self.step(Kernel::Add, &[from, found]);
        } else {
            self.grads.insert(wire, from);
        }
    }

    fn scatter(&mut self, from: Buf, wire: Wire, found: Option<Buf>) {
        let buf = found.unwrap_or_else(|| self.room(wire, Demand::All));
        self.step(Kernel::Scatter { add: found.is_some() }, &[from, buf]);
        self.grads.insert(wire, buf);
    }

    /// Adds a gradient to a value's, and leaves `from` as it is.
    pub(super) fn add(&mut self, from: Buf, rows: Demand, wire: Wire) {
        let known = self.grads.contains_key(&wire);
        if self.rows_of(wire) == rows && !known {
            let copy = self.room(wire, rows);
            self.step(Kernel::Copy, &[from, copy]);
            self.grads.insert(wire, copy);
        } else {
            self.hand_over(from, rows, wire);
        }
    }

    /// The forward list's steps for a node.
    pub(super) fn forward(&mut self, node: NodeId) {
        self.at = node;
        let out = Wire { node, output: 0 };
        // What is one row for all prompts is computed elsewhere: once a step.
        let once = self.graph().shape(out).rows == Rows::Once;
        if once || self.given.contains_key(&out) || self.demand[node.index()] == Demand::None {
            return;
        }
        match self.known.units[node.index()].clone() {
            Unit::Within => {}
            Unit::Product(product) => self.product(out, product),
            Unit::Cluster(cluster) => self.point(node, &cluster),
            // Columns are taken out only for those who ask.
            Unit::View => {}
            Unit::Alone => self.alone(node),
        }
    }

    fn alone(&mut self, node: NodeId) {
        if self.is_island(node) {
            return self.island(node);
        }
        let of = self.graph().node(node);
        match form(of) {
            None | Some(Form::Parameter(_) | Form::ByLoop(_) | Form::Linear(_)) => {}
            Some(Form::Product(of)) => self.row_product(node, of),
            Some(Form::Norm(norm)) => self.norm(node, norm),
            Some(Form::Point(_)) => self.sum(node),
            Some(Form::Columns(range)) => self.columns(node, range.start),
            Some(Form::Concat) => self.concat(node),
            Some(Form::Fill(number)) => self.fill(node, number),
            Some(Form::Keep(keep)) => self.keep(node, keep),
            Some(Form::Lookup { table, .. }) => self.lookup(node, table),
            Some(Form::Positions(table)) => self.positions(node, table),
            Some(Form::Rotary(rotary)) => self.rotary(node, rotary),
            Some(Form::Attention(heads)) => self.attention(node, heads),
            Some(Form::Recur(_)) => self.recur(node),
            Some(Form::Scan) => self.scan(node),
            Some(Form::StopGradient) => self.alias(node),
            Some(Form::Shift(by)) => self.shift(node, by),
            // Of one row for all prompts there is no step, and of others there was an island.
            Some(Form::Custom(_)) => {}
        }
    }

    /// From here on steps are written to the backward list.
    pub(super) fn turn(&mut self) {
        self.backward = true;
    }

    /// The backward list's steps for a node, if a gradient has come to it.
    pub(super) fn backward(&mut self, node: NodeId) {
        self.at = node;
        let out = Wire { node, output: 0 };
        if self.given.contains_key(&out) || self.graph().shape(out).rows == Rows::Once {
            return;
        }
        match self.known.units[node.index()].clone() {
            Unit::Within => {}
            Unit::Product(product) => self.product_back(out, product),
            Unit::Cluster(cluster) => {
                if let Some(d) = self.grads.get(&out).copied() {
                    self.point_back(node, &cluster, d);
                }
            }
            Unit::Alone | Unit::View => {
                if self.is_island(node) {
                    let results = 0..self.graph().node(node).shapes.len();
                    if results.into_iter().any(|output| self.grads.contains_key(&Wire { node, output })) {
                        self.island_back(node);
                    }
                } else if let Some(Form::Recur(_)) = form(self.graph().node(node)) {
                    self.recur_back(node);
                } else if let Some(d) = self.grads.get(&out).copied() {
                    self.alone_back(node, d);
                } else if self.leaves.contains_key(&node) {
                    // Nothing reads its rows here, and later tokens do read what it left for them.
                    let d = self.room(out, self.rows_of(out));
                    self.step(Kernel::Fill(0.0), &[d]);
                    self.alone_back(node, d);
                }
            }
        }
    }

    /// Whether a node runs by its meaning.
    fn is_island(&self, node: NodeId) -> bool {
        matches!(self.known.units[node.index()], Unit::Alone)
            && super::is_island(self.graph(), node, self.known.engine)
    }

    fn alone_back(&mut self, node: NodeId, d: Buf) {
        match form(self.graph().node(node)) {
            Some(Form::Product(of)) => self.row_product_back(node, of, d),
            Some(Form::Norm(norm)) => self.norm_back(node, norm, d),
            Some(Form::Point(_)) => self.sum_back(node, d),
            Some(Form::Columns(range)) => self.columns_back(node, range.start, d),
            Some(Form::Concat) => self.concat_back(node, d),
            Some(Form::Keep(keep)) => self.keep_back(node, keep, d),
            Some(Form::Lookup { table, .. }) => self.lookup_back(node, table, d),
            Some(Form::Positions(table)) => self.positions_back(node, table, d),
            Some(Form::Rotary(rotary)) => self.rotary_back(node, rotary, d),
            Some(Form::Attention(heads)) => self.attention_back(node, heads, d),
            Some(Form::Scan) => self.scan_back(node, d),
            Some(Form::Shift(by)) => self.shift_back(node, by, d),
            _ => {}
        }
    }

    /// The product that gives a value with its GELU taken, if one does.
    pub(super) fn gelu_of(&self, wire: Wire) -> Option<Product> {
        match &self.known.units[wire.node.index()] {
            Unit::Product(product) if product.gelu == Some(wire) => Some(*product),
            _ => None,
        }
    }
}
