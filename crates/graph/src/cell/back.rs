//! The backward pass of a cell: what has a gradient where, and which writer sets it and which add to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::buffers::{Rows, Space, View, When, Window};
use super::plan::{Plan, Work};
use super::points::{Code, Kept};

/// One step backward.
#[derive(Clone, Debug)]
pub enum Back<C> {
    /// Through one term of a product, to the gradient with respect to its input.
    Product {
        /// Which product.
        product: usize,
        /// Which of its terms.
        term: usize,
        /// The buffer that the gradient goes to.
        target: usize,
        /// Whether it is added to what is there.
        add: bool,
    },
    /// Through a norm.
    Norm {
        /// Which norm.
        norm: usize,
        /// The buffer that the gradient goes to.
        target: usize,
        /// Whether it is added to what is there.
        add: bool,
    },
    /// Through elementwise code.
    Points(C),
}

impl<C> Back<C> {
    /// The same step with an engine's own form of the code.
    pub fn map<D>(&self, form: impl FnOnce(&C) -> D) -> Back<D> {
        match *self {
            Self::Product { product, term, target, add } => Back::Product { product, term, target, add },
            Self::Norm { norm, target, add } => Back::Norm { norm, target, add },
            Self::Points(ref code) => Back::Points(form(code)),
        }
    }
}

/// The backward pass.
#[derive(Clone, Debug, Default)]
pub struct BackPlan {
    /// The gradient with respect to each buffer of the forward pass, if it has one; that of states is with respect to those before a token.
    pub gradients: Vec<Option<usize>>,
    /// The gradient with respect to the states after a token.
    pub after: Vec<usize>,
    /// At each token, from the last one on.
    pub scan: Vec<Back<Code>>,
    /// For all tokens at once, after them.
    pub hoisted: Vec<Back<Code>>,
    /// Gradients that begin with 0, for all tokens and at each.
    pub clear: Vec<usize>,
    /// The latter.
    pub clear_each: Vec<usize>,
    /// What the programs of `scan` read and write of the tape.
    pub ahead: Vec<usize>,
}

/// Where a step writes gradients, in backward order.
struct Writes {
    /// For each buffer, the columns that have been written.
    written: BTreeMap<usize, Vec<Range<usize>>>,
    /// Buffers whose writers neither meet nor keep apart.
    uneven: Vec<usize>,
}

impl Writes {
    fn note(&mut self, buffer: usize, columns: &Range<usize>) -> bool {
        let written = self.written.entry(buffer).or_default();
        let of = |column: &usize| written.iter().any(|range| range.contains(column));
        let there = columns.clone().filter(of).count();
        if there > 0 && there < columns.len() {
            self.uneven.push(buffer);
        }
        written.push(columns.clone());
        there > 0
    }

    fn covers(&self, buffer: usize, width: usize) -> bool {
        let written = self.written.get(&buffer).map_or(&[][..], Vec::as_slice);
        (0..width).all(|column| written.iter().any(|range| range.contains(&column)))
    }
}

impl BackPlan {
    pub(crate) fn new(plan: &mut Plan) -> (Self, Vec<Kept>) {
        let private: Vec<bool> = (0..plan.buffers.0.len()).map(|buffer| is_private(plan, buffer)).collect();
        let Plan { points, buffers, .. } = plan;
        let kept: Vec<Kept> = points
            .iter()
            .map(|points| points.keep(buffers, |buffer| private.get(buffer).copied().unwrap_or(false)))
            .collect();

        let mut back = Self::default();
        back.give_buffers(plan, &private);
        let order = |works: &[Work]| works.iter().rev().copied().collect::<Vec<_>>();
        let (scan, hoisted) = (order(&plan.scan), order(&plan.hoisted));

        let mut writes = Writes { written: BTreeMap::new(), uneven: Vec::new() };
        let mut adds: Vec<Vec<bool>> = Vec::new();
        for work in scan.iter().chain(&hoisted) {
            let targets = back.targets(plan, *work);
            adds.push(targets.iter().map(|t| writes.note(t.view.buffer, &t.columns())).collect());
        }
        let targets: Vec<usize> = back.gradients.iter().flatten().copied().collect();
        for buffer in targets {
            let of = plan.buffers.0[buffer];
            if writes.uneven.contains(&buffer) || !writes.covers(buffer, of.width) {
                let list = if of.rows == Rows::Token { &mut back.clear_each } else { &mut back.clear };
                list.push(buffer);
            }
        }
        let mut all = scan.iter().chain(&hoisted).zip(adds).map(|(work, adds)| {
            let targets = back.targets(plan, *work);
            let cleared = |buffer| back.clear.contains(&buffer) || back.clear_each.contains(&buffer);
            let targets: Vec<(Window, bool)> =
                targets.into_iter().zip(adds).map(|(t, add)| (t, add || cleared(t.view.buffer))).collect();
            match *work {
                Work::Product(product, term) => {
                    Back::Product { product, term, target: targets[0].0.view.buffer, add: targets[0].1 }
                }
                Work::Norm(norm) => Back::Norm { norm, target: targets[0].0.view.buffer, add: targets[0].1 },
                Work::Points(i) => {
                    let points = &plan.points[i];
                    let slopes: Vec<Window> =
                        points.results.iter().map(|window| back.gradient(*window)).collect();
                    Back::Points(points.backward(&kept[i], &slopes, &targets))
                }
            }
        });
        let of_scan: Vec<Back<Code>> = all.by_ref().take(scan.len()).collect();
        let of_hoisted = all.collect();
        (back.scan, back.hoisted) = (of_scan, of_hoisted);
        back.ahead = back.read_of_tape(plan);
        (back, kept)
    }

    fn read_of_tape(&self, plan: &Plan) -> Vec<usize> {
        let codes = self.scan.iter().filter_map(|step| match step {
            Back::Points(code) => Some(code),
            _ => None,
        });
        let views = codes.flat_map(Code::views).map(|view| view.buffer);
        let of_tape: BTreeSet<usize> =
            views.filter(|&buffer| plan.buffers.0[buffer].space == Space::Tape).collect();
        of_tape.into_iter().collect()
    }

    fn give_buffers(&mut self, plan: &mut Plan, private: &[bool]) {
        let forward = private.len();
        self.gradients = vec![None; forward];
        for (buffer, in_place) in private.iter().enumerate() {
            let of = plan.buffers.0[buffer];
            let product = plan.products.iter().any(|product| product.out == buffer);
            // A norm's statistics are no values of the cell.
            if plan.norms.iter().any(|norm| norm.mean == buffer || norm.inverse == buffer) {
                continue;
            }
            let rows = match of.rows {
                Rows::One => continue,
                Rows::States => {
                    self.after.push(plan.buffers.add(of.width, Rows::Token, Space::Backward));
                    Rows::Token
                }
                // Gradients with respect to a product are kept for that of its weight.
                _ if product || !changes_at_tokens(plan, buffer) => Rows::All,
                _ => Rows::Token,
            };
            let own = if *in_place { buffer } else { plan.buffers.add(of.width, rows, Space::Backward) };
            self.gradients[buffer] = Some(own);
        }
    }

    /// Where the gradient with respect to a window lies.
    fn gradient(&self, window: Window) -> Window {
        let View { buffer, when } = window.view;
        let own = self.gradients[buffer].unwrap_or(buffer);
        let buffer = match when {
            When::Now => own,
            // Buffers of states come second to the input's alone.
            When::After => self.after[buffer - 1],
        };
        Window { view: View::now(buffer), ..window }
    }

    /// The gradients that a step writes when it is run backward.
    fn targets(&self, plan: &Plan, work: Work) -> Vec<Window> {
        let whole = |view: View| {
            let width = plan.buffers.0[view.buffer].width;
            vec![self.gradient(Window { view, column: 0, width })]
        };
        match work {
            Work::Product(product, term) => whole(plan.products[product].terms[term].input),
            Work::Norm(norm) => whole(plan.norms[norm].input),
            Work::Points(i) => plan.points[i].inputs.iter().map(|window| self.gradient(*window)).collect(),
        }
    }
}

/// Whether a buffer is written at each token, so that its gradient is needed at one token alone.
fn changes_at_tokens(plan: &Plan, buffer: usize) -> bool {
    let writes = |work: &Work| match *work {
        Work::Product(product, _) => plan.products[product].out == buffer,
        Work::Norm(norm) => plan.norms[norm].out == buffer,
        Work::Points(points) => plan.points[points].results.iter().any(|w| w.view.buffer == buffer),
    };
    plan.scan.iter().any(writes)
}

/// Whether a buffer of a product is read by one program alone, in all its columns: then gates and gradients may take its place.
fn is_private(plan: &Plan, buffer: usize) -> bool {
    let of = plan.buffers.0[buffer];
    let product = plan.products.iter().any(|product| product.out == buffer);
    let mut readers =
        plan.points.iter().filter(|points| points.inputs.iter().any(|window| window.view.buffer == buffer));
    let (Some(reader), None) = (readers.next(), readers.next()) else { return false };
    let windows = reader.inputs.iter().filter(|window| window.view.buffer == buffer);
    let columns: usize = windows.map(|window| window.width).sum();
    product && of.rows == Rows::All && !plan.needed.contains(&buffer) && columns == of.width
}
