//! From a recorded cell to the steps of a recurrence.
//!
//! Each node has a level: a product or a norm stands one above what it reads, elementwise code on that of its inputs. All elementwise code of one level and width is one
//! program, which runs after the products of its level. What doesn't see a state is computed for all tokens before the first; so is each
//! product of it, even if it is added to one that does.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ops::{Cell, Func};
use crate::{Form, Linear, Node, Norm, Op, PointBuilder, Source, Wire};

use super::buffers::{Buffers, Rows, Space, View, When, Window};
use super::points::Points;

/// A sum of products, x W^T and more, and of biases.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its products, those of the input alone first.
    pub terms: Vec<Term>,
    /// The buffer of the result.
    pub out: usize,
    /// Where the sum of the biases is made, if there are several, and backward the gradient that all of them get.
    pub bias: Option<usize>,
}

/// One product of a sum.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// Its weight and bias.
    pub layer: Linear,
    /// What is multiplied.
    pub input: View,
    /// Whether that depends on a state.
    pub recurrent: bool,
}

/// A norm with the buffers of its statistics.
#[derive(Clone, Copy, Debug)]
pub struct NormStep {
    /// Its kind and parameters.
    pub norm: Norm,
    /// What is normed.
    pub input: View,
    /// The buffer of the result.
    pub out: usize,
    /// The buffer of the means.
    pub mean: usize,
    /// The buffer of the inverse deviations.
    pub inverse: usize,
}

/// What is done, at a token or for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// One term of a product.
    Product(usize, usize),
    /// A norm.
    Norm(usize),
    /// Elementwise code.
    Points(usize),
}

/// The forward pass of a cell.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The memory.
    pub buffers: Buffers,
    /// The input, token by token.
    pub x: usize,
    /// The buffer of each state.
    pub states: Vec<usize>,
    /// Sums of products.
    pub products: Vec<Product>,
    /// Norms.
    pub norms: Vec<NormStep>,
    /// Elementwise code.
    pub(crate) points: Vec<Points>,
    /// For all tokens at once.
    pub hoisted: Vec<Work>,
    /// At each token.
    pub scan: Vec<Work>,
    /// Buffers that products and norms read: their weights' gradients need them.
    pub(crate) needed: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Kind {
    Input,
    State(usize),
    Product(Vec<(usize, Linear)>),
    Norm(usize, Norm),
    Point(Func, Vec<usize>),
    Columns(usize, Range<usize>),
    Concat(Vec<usize>),
    Fill(f32),
    /// Part of a product, or read by nobody.
    Gone,
}

impl Kind {
    fn inputs(&self) -> Vec<usize> {
        match self {
            Self::Input | Self::State(_) | Self::Fill(_) | Self::Gone => Vec::new(),
            Self::Product(terms) => terms.iter().map(|(input, _)| *input).collect(),
            Self::Norm(input, _) | Self::Columns(input, _) => vec![*input],
            Self::Point(_, inputs) | Self::Concat(inputs) => inputs.clone(),
        }
    }
}

/// Which program elementwise code belongs to: hoisted ones first, then by level, then by width.
type Key = (bool, usize, usize);

#[derive(Debug, Default)]
struct Cluster {
    members: Vec<usize>,
    /// Nodes that are written to places that aren't their own.
    sinks: Vec<(usize, Window)>,
}

/// The place in the author's code goes with what is wrong.
fn refuse(node: &Node, why: &str) -> String {
    let scope = if node.scope.is_empty() { String::new() } else { format!("{}: ", node.scope) };
    format!("{scope}{} within a recurrence: {why}, at {}", node.name(), node.at)
}

fn kinds(cell: &Cell) -> Result<Vec<Kind>, String> {
    let mut kinds = Vec::new();
    for node in &cell.nodes {
        let inputs: Vec<usize> = node.inputs.iter().map(|wire| wire.node.index()).collect();
        kinds.push(match (&node.source, node.op().map(Op::form)) {
            (Source::Input, _) => Kind::Input,
            (Source::State(i), _) => Kind::State(*i),
            (_, Some(Form::Linear(layer))) => {
                if layer.out < 2 {
                    return Err(refuse(node, "a product has two columns at least"));
                }
                Kind::Product(vec![(inputs[0], layer)])
            }
            (_, Some(Form::Norm(norm))) => {
                if !norm.has_kernel() {
                    return Err(refuse(node, "there is no kernel for it"));
                }
                Kind::Norm(inputs[0], norm)
            }
            (_, Some(Form::Point(func))) => Kind::Point(func, inputs),
            (_, Some(Form::Columns(range))) => Kind::Columns(inputs[0], range.clone()),
            (_, Some(Form::Concat)) => Kind::Concat(inputs),
            (_, Some(Form::Fill(number))) => Kind::Fill(number),
            _ => return Err(refuse(node, "there is no kernel for it")),
        });
    }
    Ok(kinds)
}

/// Leaves out what no state depends on, and joins products that are added and read by nothing else.
fn simplify(kinds: &mut [Kind], next: &[Wire]) {
    let mut alive = vec![false; kinds.len()];
    next.iter().for_each(|wire| alive[wire.node.index()] = true);
    for i in (0..kinds.len()).rev() {
        if alive[i] {
            kinds[i].inputs().into_iter().for_each(|input| alive[input] = true);
        } else if !matches!(kinds[i], Kind::Input | Kind::State(_)) {
            kinds[i] = Kind::Gone;
        }
    }
    let mut readers = vec![0; kinds.len()];
    kinds.iter().flat_map(Kind::inputs).for_each(|input| readers[input] += 1);
    next.iter().for_each(|wire| readers[wire.node.index()] += 1);
    for i in 0..kinds.len() {
        let Kind::Point(Func::Add, inputs) = &kinds[i] else { continue };
        let (a, b) = (inputs[0], inputs[1]);
        if readers[a] == 1
            && readers[b] == 1
            && let (Kind::Product(first), Kind::Product(second)) = (&kinds[a], &kinds[b])
        {
            let sum = first.iter().chain(second).copied().collect();
            (kinds[a], kinds[b], kinds[i]) = (Kind::Gone, Kind::Gone, Kind::Product(sum));
        }
    }
}

struct Planner {
    kinds: Vec<Kind>,
    widths: Vec<usize>,
    recurrent: Vec<bool>,
    levels: Vec<usize>,
    /// The buffer of a node's own, if it has one.
    own: Vec<Option<usize>>,
    clusters: BTreeMap<Key, Cluster>,
    plan: Plan,
}

impl Plan {
    pub(crate) fn new(cell: &Cell, input_width: usize) -> Result<Self, String> {
        let mut kinds = kinds(cell)?;
        simplify(&mut kinds, &cell.next);
        let mut plan = Self::default();
        plan.x = plan.buffers.add(input_width, Rows::All, Space::Both);
        plan.states =
            cell.widths.iter().map(|&width| plan.buffers.add(width, Rows::States, Space::Tape)).collect();
        let mut planner = Planner {
            widths: cell.nodes.iter().map(|node| node.shapes[0].width).collect(),
            recurrent: vec![false; kinds.len()],
            levels: vec![0; kinds.len()],
            own: vec![None; kinds.len()],
            clusters: BTreeMap::new(),
            kinds,
            plan,
        };
        planner.level();
        planner.cluster(&cell.next);
        planner.give_buffers(&cell.next);
        planner.schedule();
        planner.write_programs()?;
        Ok(planner.plan)
    }
}

impl Planner {
    /// The first level at which a node can be read by another program.
    fn ready(&self, node: usize) -> usize {
        self.levels[node] + usize::from(matches!(self.kinds[node], Kind::Concat(_)))
    }

    fn level(&mut self) {
        for i in 0..self.kinds.len() {
            let inputs = self.kinds[i].inputs();
            self.recurrent[i] =
                matches!(self.kinds[i], Kind::State(_)) || inputs.iter().any(|&input| self.recurrent[input]);
            let ready = inputs.iter().map(|&input| self.ready(input)).max().unwrap_or(0);
            self.levels[i] = match &self.kinds[i] {
                Kind::Product(_) | Kind::Norm(..) => ready + 1,
                // Columns of what a program makes are there after it.
                Kind::Columns(of, _) => ready + usize::from(matches!(self.kinds[*of], Kind::Point(..))),
                _ => ready,
            };
        }
    }

    fn key(&self, node: usize) -> Key {
        (self.recurrent[node], self.levels[node], self.widths[node])
    }

    fn cluster(&mut self, next: &[Wire]) {
        for i in 0..self.kinds.len() {
            if matches!(self.kinds[i], Kind::Point(..)) {
                self.clusters.entry(self.key(i)).or_default().members.push(i);
            }
        }
        // Products and norms read whole rows: columns are copied for them.
        for i in 0..self.kinds.len() {
            if let Kind::Product(_) | Kind::Norm(..) = self.kinds[i] {
                for input in self.kinds[i].inputs() {
                    if self.own[input].is_none()
                        && matches!(self.kinds[input], Kind::Columns(..) | Kind::Fill(_))
                    {
                        let buffer = self.plan.buffers.add(self.widths[input], Rows::All, Space::Tape);
                        self.own[input] = Some(buffer);
                        let key = (self.recurrent[input], self.levels[input], self.widths[input]);
                        self.sink(key, input, whole(buffer, self.widths[input]));
                    }
                }
            }
            if let Kind::Concat(parts) = self.kinds[i].clone() {
                let buffer = self.plan.buffers.add(self.widths[i], Rows::All, Space::Tape);
                self.own[i] = Some(buffer);
                let mut column = 0;
                for part in parts {
                    let width = self.widths[part];
                    let window = Window { view: View::now(buffer), column, width };
                    self.sink((self.recurrent[i], self.levels[i], width), part, window);
                    column += width;
                }
            }
        }
        for (state, wire) in next.iter().enumerate() {
            let node = wire.node.index();
            let width = self.widths[node];
            let view = View { buffer: self.plan.states[state], when: When::After };
            self.sink((true, self.ready(node), width), node, Window { view, column: 0, width });
        }
    }

    fn sink(&mut self, key: Key, node: usize, window: Window) {
        self.clusters.entry(key).or_default().sinks.push((node, window));
    }

    /// Whether a program makes a node itself.
    fn makes(&self, key: Key, node: usize) -> bool {
        matches!(self.kinds[node], Kind::Point(..)) && self.key(node) == key
    }

    fn give_buffers(&mut self, next: &[Wire]) {
        let mut needed = vec![false; self.kinds.len()];
        let mut outside = vec![false; self.kinds.len()];
        for i in 0..self.kinds.len() {
            for input in self.kinds[i].inputs() {
                match &self.kinds[i] {
                    Kind::Product(_) | Kind::Norm(..) => {
                        (needed[input], outside[input]) = (true, true);
                    }
                    Kind::Columns(..) => outside[input] = true,
                    Kind::Concat(_) => {
                        let key = (self.recurrent[i], self.levels[i], self.widths[input]);
                        outside[input] |= !self.makes(key, input);
                    }
                    _ => outside[input] |= !self.makes(self.key(i), input),
                }
            }
        }
        for wire in next {
            let node = wire.node.index();
            outside[node] |= !self.makes((true, self.ready(node), self.widths[node]), node);
        }
        for i in 0..self.kinds.len() {
            let width = self.widths[i];
            match self.kinds[i].clone() {
                Kind::Product(terms) => {
                    let hoisted = terms.iter().any(|(input, _)| !self.recurrent[*input]);
                    let (rows, space) = if hoisted || needed[i] {
                        (Rows::All, Space::Tape)
                    } else {
                        (Rows::Token, Space::Forward)
                    };
                    self.own[i] = Some(self.plan.buffers.add(width, rows, space));
                }
                Kind::Norm(..) => self.own[i] = Some(self.plan.buffers.add(width, Rows::All, Space::Tape)),
                Kind::Point(..) if outside[i] => {
                    self.own[i] = Some(self.plan.buffers.add(width, Rows::All, Space::Tape));
                }
                _ => {}
            }
        }
        let whole: Vec<usize> = (0..needed.len()).filter(|&i| needed[i]).collect();
        self.plan.needed = whole.into_iter().map(|i| self.locate(i, true).view.buffer).collect();
    }

    /// Where a node's numbers lie; `whole` if columns have been copied.
    fn locate(&self, node: usize, whole: bool) -> Window {
        let width = self.widths[node];
        let at = |buffer| Window { view: View::now(buffer), column: 0, width };
        match (&self.kinds[node], self.own[node]) {
            (Kind::Input, _) => at(self.plan.x),
            (Kind::State(i), _) => at(self.plan.states[*i]),
            (Kind::Columns(of, range), own) if !whole || own.is_none() => {
                let of = self.locate(*of, false);
                Window { column: of.column + range.start, width, ..of }
            }
            (_, Some(buffer)) => at(buffer),
            _ => unreachable!("every value that is read has a place"),
        }
    }

    /// Products and norms, then programs, level by level.
    fn schedule(&mut self) {
        let mut works: Vec<(bool, usize, Work)> = Vec::new();
        for i in 0..self.kinds.len() {
            let level = self.levels[i];
            let Some(out) = self.own[i] else { continue };
            match self.kinds[i].clone() {
                Kind::Product(terms) => {
                    let term = |&(input, layer): &(usize, Linear)| Term {
                        layer,
                        input: self.locate(input, true).view,
                        recurrent: self.recurrent[input],
                    };
                    let mut terms: Vec<Term> = terms.iter().map(term).collect();
                    terms.sort_by_key(|term| term.recurrent);
                    let biases = terms.iter().filter(|term| term.layer.bias.is_some()).count();
                    let bias =
                        (biases > 1).then(|| self.plan.buffers.add(self.widths[i], Rows::One, Space::Both));
                    let product = self.plan.products.len();
                    for (at, term) in terms.iter().enumerate() {
                        works.push((term.recurrent, level, Work::Product(product, at)));
                    }
                    self.plan.products.push(Product { terms, out, bias });
                }
                Kind::Norm(input, norm) => {
                    let input = self.locate(input, true).view;
                    let mut statistic = || self.plan.buffers.add(norm.groups, Rows::All, Space::Tape);
                    let (mean, inverse) = (statistic(), statistic());
                    works.push((self.recurrent[i], level, Work::Norm(self.plan.norms.len())));
                    self.plan.norms.push(NormStep { norm, input, out, mean, inverse });
                }
                _ => {}
            }
        }
        for (points, (recurrent, level, _)) in self.clusters.keys().enumerate() {
            works.push((*recurrent, *level, Work::Points(points)));
        }
        works.sort_by_key(|(_, level, work)| (*level, matches!(work, Work::Points(_))));
        let of = |recurrent: bool| {
            works.iter().filter(move |(own, ..)| *own == recurrent).map(|(.., work)| *work).collect()
        };
        (self.plan.hoisted, self.plan.scan) = (of(false), of(true));
    }

    fn write_programs(&mut self) -> Result<(), String> {
        for (&key, cluster) in &self.clusters {
            let mut inputs: Vec<Window> = Vec::new();
            let mut note = |node: usize| {
                if !self.makes(key, node) && !matches!(self.kinds[node], Kind::Fill(_)) {
                    let window = self.locate(node, false);
                    if !inputs.contains(&window) {
                        inputs.push(window);
                    }
                }
            };
            cluster.members.iter().flat_map(|&node| self.kinds[node].inputs()).for_each(&mut note);
            cluster.sinks.iter().for_each(|(node, _)| note(*node));
            for (i, a) in inputs.iter().enumerate() {
                let overlaps =
                    |b: &Window| b.view == a.view && b.column < a.columns().end && a.column < b.columns().end;
                if inputs[..i].iter().any(overlaps) {
                    return Err("within a recurrence, columns that overlap are read together".to_owned());
                }
            }

            let mut code = PointBuilder::new(inputs.len());
            let mut made = BTreeMap::new();
            let read = |code: &mut PointBuilder, made: &BTreeMap<usize, usize>, node: usize| match (
                made.get(&node),
                &self.kinds[node],
            ) {
                (Some(&reg), _) => reg,
                (None, Kind::Fill(number)) => code.constant(*number),
                (None, _) => {
                    let window = self.locate(node, false);
                    code.input(inputs.iter().position(|input| *input == window).unwrap_or(0))
                }
            };
            for &node in &cluster.members {
                if let Kind::Point(func, from) = &self.kinds[node] {
                    let a = read(&mut code, &made, from[0]);
                    let b = read(&mut code, &made, from[from.len() - 1]);
                    let reg = code.apply(*func, [a, b]);
                    made.insert(node, reg);
                }
            }
            let mut results: Vec<(usize, Window)> = Vec::new();
            for &node in &cluster.members {
                if let Some(buffer) = self.own[node] {
                    results.push((made[&node], whole(buffer, self.widths[node])));
                }
            }
            for (node, window) in &cluster.sinks {
                results.push((read(&mut code, &made, *node), *window));
            }
            let regs: Vec<usize> = results.iter().map(|(reg, _)| *reg).collect();
            let results = results.into_iter().map(|(_, window)| window).collect();
            self.plan.points.push(Points { program: code.finish(&regs), inputs, results });
        }
        Ok(())
    }
}

const fn whole(buffer: usize, width: usize) -> Window {
    Window { view: View::now(buffer), column: 0, width }
}
