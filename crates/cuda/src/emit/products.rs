//! Products, and the gradients of weights.

use looped_gpu::{Element, Form, Math, Operation, Product, Result, Span};
use looped_graph::Param;
use looped_graph::lower::RowMatrix;

use super::{Constant, Emit, Here};
use crate::low::{Late, next_readers};

/// Rows of partial sums over the rows of a matrix.
pub(super) const CHUNKS: usize = 256;
/// The same over the matrices of all loops together.
const ALL_CHUNKS: usize = 512;

impl Emit<'_> {
    /// What was left for the end of a step: gradients that are sums over all loops.
    pub(crate) fn finish(&mut self) -> Result<()> {
        for Late { operands, weight, bias } in std::mem::take(&mut self.low.all_late) {
            let [Some(dy), Some(x)] = operands else { continue };
            let product = self.weight_product(weight, self.math, dy, x);
            self.push(Operation::Product(product));
            if let Some(bias) = bias {
                let (goal, calls) = (self.grad(bias), self.calls_of(dy));
                let width = goal.len();
                let partials =
                    self.layout.floats(calls.chunks_of(dy.len() / width.max(1), ALL_CHUNKS) * width);
                let sums = calls.partial_sums(dy, partials, width)?;
                self.push(sums);
                self.sums.first(partials, goal);
            }
        }
        let (calls, sums) = (self.calls(), std::mem::take(&mut self.sums));
        for (operation, table) in sums.totals(&calls, &mut self.layout)? {
            self.push(operation);
            self.constants.push(Constant::Table(table));
        }
        Ok(())
    }

    /// An operand of a product, which is one of a step's places: as it is, or rounded.
    fn operand(&mut self, here: Here<'_>, which: usize, exact: bool) -> Result<Span> {
        let place = here.of().places[which];
        let span = self.places.at(place, here.run.slot);
        if exact {
            return Ok(span);
        }
        if self.math != Math::Bf16 || self.low.known(span).is_some() {
            return Ok(self.get(here, which));
        }
        let to = match next_readers(here.steps, here.step, place) {
            (Some((step, operand)), _) => self.home(here.run, (here.half, step, operand)),
            _ => self.low.passing(&mut self.layout, span.len()),
        };
        let operation = self.rounding().narrow(span, to)?;
        self.push(operation);
        self.low.note(span, to, false);
        Ok(to)
    }

    /// A product that a step begins with: of its first place.
    #[allow(clippy::too_many_arguments, reason = "the parts of one product")]
    pub(super) fn product(
        &mut self,
        here: Here<'_>,
        weight: Param,
        transposed: bool,
        exact: bool,
        bias: Option<Param>,
        start: Option<Span>,
        out: Span,
    ) -> Result<()> {
        let math = if exact { Math::F32 } else { self.math };
        let right = self.weight(weight, math.operands());
        let bias = bias.map(|bias| self.weight(bias, out.element()));
        let sides = self.sides(weight);
        self.with_matrix(here, (right, sides, transposed), (math, exact), [bias, start], out)
    }

    /// A product of a step's first place with a matrix that is a row.
    pub(super) fn row_product(
        &mut self,
        here: Here<'_>,
        RowMatrix { row, out: outputs, inputs }: RowMatrix,
        transposed: bool,
        start: Option<Span>,
        out: Span,
    ) -> Result<()> {
        let right = self.operand_of(self.shared(row, here.run.index), self.math.operands());
        self.with_matrix(here, (right, [outputs, inputs], transposed), (self.math, false), [None, start], out)
    }

    /// A product of a step's first place with a matrix, of so many outputs and inputs, or transposed.
    fn with_matrix(
        &mut self,
        here: Here<'_>,
        (right, [outputs, inputs], transposed): (Span, [usize; 2], bool),
        (math, exact): (Math, bool),
        [bias, start]: [Option<Span>; 2],
        out: Span,
    ) -> Result<()> {
        let left = self.operand(here, 0, exact)?;
        let (form, each) = if transposed { (Form::Input, outputs) } else { (Form::Forward, inputs) };
        let rows = left.len() / each.max(1);
        let product = Product { form, math, rows, outputs, inputs, left, right, bias, start, out };
        self.push(Operation::Product(product));
        Ok(())
    }

    /// The gradient of a matrix that is a row. In another loop it is another row's, so it is computed at once.
    pub(super) fn row_gradient(
        &mut self,
        here: Here<'_>,
        RowMatrix { row, out: outputs, inputs }: RowMatrix,
    ) -> Result<()> {
        let [left, right] = [self.operand(here, 0, false)?, self.operand(here, 1, false)?];
        let goal = self.shared(row, here.run.index).grads;
        self.push(Operation::Product(Product {
            form: Form::Weight,
            math: self.math,
            rows: left.len() / outputs.max(1),
            outputs,
            inputs,
            left,
            right,
            bias: None,
            start: Some(goal),
            out: goal,
        }));
        Ok(())
    }

    pub(super) fn weight_gradient(
        &mut self,
        here: Here<'_>,
        weight: Param,
        width: usize,
        bias: Option<Param>,
        exact: bool,
    ) -> Result<()> {
        let [dy, x] = [0, 1].map(|i| self.places.at(here.of().places[i], here.run.slot));
        let late =
            !exact && (self.math == Math::Bf16 || [dy, x].iter().any(|of| self.low.known(*of).is_some()));
        if !late {
            if let Some(bias) = bias {
                let calls = self.calls();
                let chunks = calls.chunks_of(dy.len() / width.max(1), CHUNKS);
                let partials = self.sum(here, here.key(0), [chunks, width], &[(0, self.grad(bias))]);
                let operation = calls.partial_sums(dy, partials, width)?;
                self.push(operation);
            }
            let math = if exact { Math::F32 } else { self.math };
            let product = self.weight_product(weight, math, dy, x);
            self.push(Operation::Product(product));
            return Ok(());
        }
        // The operands stay where all loops' lie together, and the product comes at the end.
        let at = (here.list(), here.step);
        for (operand, span) in [dy, x].into_iter().enumerate() {
            let known = self.low.known(span);
            if known.is_some_and(|known| self.low.share(at, here.of(), here.run.runs, operand, known)) {
                continue;
            }
            let home = self.home(here.run, (here.half, here.step, operand));
            let operation = match home.element() {
                Element::Bf16 => self.rounding().narrow(span, home)?,
                _ => self.calls().copy_rows(span, home)?,
            };
            self.push(operation);
        }
        Ok(())
    }

    /// The sides of a weight: outputs, inputs.
    pub(super) fn sides(&self, weight: Param) -> [usize; 2] {
        let info = &self.graph.params()[weight.index()];
        let outputs = info.dims.first().copied().unwrap_or(1);
        [outputs, info.len() / outputs.max(1)]
    }

    /// A weight's gradient, to be added to what is there.
    pub(super) fn weight_product(&self, weight: Param, math: Math, dy: Span, x: Span) -> Product {
        let ([outputs, inputs], out) = (self.sides(weight), self.grad(weight));
        Product {
            form: Form::Weight,
            math,
            rows: dy.len() / outputs.max(1),
            outputs,
            inputs,
            left: dy,
            right: x,
            bias: None,
            start: Some(out),
            out,
        }
    }
}
