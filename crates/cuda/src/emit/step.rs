//! The operations of one step.

use looped_gpu::calls::{Calls, Columns, Shifted, States};
use looped_gpu::{Result, Span};
use looped_graph::lower::{Chunk, Kernel, Start, Step};

use super::{Emit, Here};
use crate::low::next_readers;

impl Emit<'_> {
    pub(super) fn step(&mut self, here: Here<'_>) -> Result<()> {
        let Here { run, .. } = here;
        let Step { kernel, places, .. } = here.of();
        let at = |emit: &Self, i: usize| emit.places.at(places[i], run.slot);
        let maybe = |emit: &Self, i: usize| Some(at(emit, i)).filter(|span| span.len() > 0);
        let (chunk, calls) = (run.chunk, self.calls());
        let rows = chunk.rows().max(1);
        let operation = match kernel {
            Kernel::Product { weight, transposed, exact, start } => {
                let (bias, start, out) = match start {
                    Start::Zero => (None, None, self.put(here, 1)),
                    Start::Output => (None, Some(at(self, 1)), at(self, 1)),
                    Start::Bias(bias) => (Some(*bias), None, self.put(here, 1)),
                    Start::Residual(bias) => (Some(*bias), Some(at(self, 1)), at(self, 2)),
                };
                return self.product(here, *weight, *transposed, *exact, bias, start, out);
            }
            Kernel::ProductGelu { weight, bias, exact } => {
                let pre = at(self, 1);
                self.product(here, *weight, false, *exact, Some(*bias), None, pre)?;
                let out = self.put(here, 2);
                self.calls_of(out).gelu_of(pre, out)?
            }
            Kernel::ProductGeluOnly { weight, bias, exact } => {
                let pre = at(self, 1);
                self.product(here, *weight, false, *exact, Some(*bias), None, pre)?;
                let out = self.put(here, 1);
                self.calls_of(out).gelu_of(pre, out)?
            }
            Kernel::ProductGeluBack { weight, exact } => {
                let out = self.put(here, 2);
                self.product(here, *weight, true, *exact, None, None, out)?;
                let (pre, kept) = (at(self, 1), run.pair.stored.gelu_is_kept(here.step));
                if let (true, (Some((step, operand)), _)) =
                    (kept, next_readers(here.steps, here.step + 1, places[1]))
                {
                    let home = self.home(run, (here.half, step, operand));
                    self.low.note(pre, home, false);
                }
                self.calls_of(out).gelu_turn(out, pre, !kept)?
            }
            Kernel::RowProduct { matrix, transposed, add } => {
                let out = if *add { at(self, 1) } else { self.put(here, 1) };
                return self.row_product(here, *matrix, *transposed, add.then_some(out), out);
            }
            Kernel::WeightGradient { .. } | Kernel::RowGradient(_) if self.state_alone => return Ok(()),
            Kernel::RowGradient(matrix) => return self.row_gradient(here, *matrix),
            Kernel::WeightGradient { weight, out, bias, exact } => {
                return self.weight_gradient(here, *weight, *out, *bias, *exact);
            }
            Kernel::Dot { weight, bias, picks } => {
                let picks = picks.then(|| self.picks(chunk));
                let (x, out) = (at(self, 0), at(self, 1));
                if out.len() == 0 {
                    return Ok(());
                }
                let bias = bias.map(|bias| self.param(bias));
                calls.dot_rows(x, self.param(*weight), bias, picks, out)?
            }
            Kernel::DotBack { weight, bias, picks } => {
                let picks = picks.then(|| self.picks(chunk));
                let (dy, x, dx) = (at(self, 0), at(self, 1), at(self, 2));
                if dy.len() == 0 {
                    return Ok(());
                }
                let width = self.param(*weight).len();
                let mut goals = vec![(0, self.grad(*weight))];
                goals.extend(bias.map(|bias| (width, self.grad(bias))));
                let partials = self.sum(here, here.key(0), [Calls::dot_blocks(dy.len()), width + 1], &goals);
                calls.dot_rows_backward([dy, x, self.param(*weight)], picks, dx, partials)?
            }
            Kernel::Norm(norm) => return self.norm(here, *norm),
            Kernel::NormBack { norm, add } => return self.norm_back(here, *norm, *add),
            Kernel::Attention { heads, prefix } => {
                let (qkv, out, kept) = (self.seen_at(here, 0, 2), self.put(here, 2), at(self, 3));
                let (calls, by, seen) = self.seen(*heads, *prefix, chunk, out);
                let logs = kept.part(0, heads.heads * rows);
                calls.attention(by, seen, [qkv, out], maybe(self, 1), logs)?
            }
            Kernel::AttentionBack { heads, prefix } => {
                let [qkv, dout, out] = [0, 3, 6].map(|which| self.seen_at(here, which, 4));
                let (kept, dqkv, out) = (at(self, 2), self.put(here, 4), Some(out));
                let (calls, by, seen) = self.seen(*heads, *prefix, chunk, dout);
                let logs = kept.part(0, heads.heads * rows);
                let earlier = [maybe(self, 1), maybe(self, 5)];
                calls.attention_backward(by, seen, [qkv, dout], out, earlier, logs, dqkv)?
            }
            Kernel::Scan(of) => {
                let states = States { before: maybe(self, 1), last: maybe(self, 3) };
                calls.scan(&self.system(*of), states, at(self, 0), at(self, 2), chunk.tokens)?
            }
            Kernel::ScanBack(of) => return self.scan_back(here, *of),
            Kernel::Recur(of) => return self.recur(here, of),
            Kernel::RecurBack(of) => return self.recur_back(here, of),
            Kernel::Point(of) => return self.point(here, of),
            Kernel::TakeColumns { start, of, add } => {
                let (x, out) = (at(self, 0), at(self, 1));
                let rows = x.len() / of;
                let width = out.len() / rows.max(1);
                let from = Columns { rows: x, of: *of, from: *start };
                return self.columns(from, Columns { rows: out, of: width, from: 0 }, rows, width, *add);
            }
            Kernel::PutColumns { start, of, add } => {
                let (x, out) = (at(self, 0), at(self, 1));
                let rows = out.len() / of;
                let width = x.len() / rows.max(1);
                let from = Columns { rows: x, of: width, from: 0 };
                return self.columns(from, Columns { rows: out, of: *of, from: *start }, rows, width, *add);
            }
            Kernel::Shift { by } => {
                let x = at(self, 0);
                let of = Shifted { tokens: chunk.tokens, width: x.len() / rows, by: *by };
                calls.shift_rows(of, x, maybe(self, 1), at(self, 2), maybe(self, 3))?
            }
            Kernel::ShiftBack { by, add } => {
                let dout = at(self, 0);
                let of = Shifted { tokens: chunk.tokens, width: dout.len() / rows, by: *by };
                let all =
                    calls.shift_rows_backward(of, dout, maybe(self, 1), at(self, 2), maybe(self, 3), *add)?;
                self.operations.extend(all);
                return Ok(());
            }
            Kernel::Lookup(table) => {
                let (numbers, out) = (at(self, 0), at(self, 1));
                calls.lookup_rows(numbers, self.param(*table), out)?
            }
            Kernel::LookupBack(table) => {
                let (numbers, d) = (at(self, 0), at(self, 1));
                calls.lookup_rows_backward(numbers, d, self.grad(*table))?
            }
            Kernel::Positions(table) => {
                let (x, out) = (at(self, 0), at(self, 1));
                calls.add_positions(x, positions(self.param(*table), chunk, out), out)?
            }
            Kernel::PositionsBack(table) => {
                let d = at(self, 0);
                calls.add_positions_backward(d, positions(self.grad(*table), chunk, d))?
            }
            Kernel::Rotary { rotary, back } => {
                let (x, out) = (at(self, 0), at(self, 1));
                let width = x.len() / rows;
                let (head, turned) = (rotary.head(width), rotary.parts * (width / rotary.of));
                let turns = self.turns(head);
                calls.rotate_rows(x, turns, out, [chunk.tokens, width], [head, turned], chunk.first, *back)?
            }
            Kernel::Add | Kernel::Copy | Kernel::Fill(_) => {
                let out = at(self, places.len() - 1);
                match kernel {
                    Kernel::Fill(number) => calls.fill_rows(out, *number)?,
                    Kernel::Add => match here.copied_too() {
                        Some(copy) => {
                            calls.add_and_copy_rows(at(self, 0), out, self.places.at(copy, run.slot))?
                        }
                        None => calls.add_rows(at(self, 0), out)?,
                    },
                    _ => calls.copy_rows(at(self, 0), out)?,
                }
            }
            Kernel::Keep { from, to, lost } => {
                let (x, out) = (at(self, 0), at(self, 1));
                calls.keep_rows(x, out, [chunk.tokens, out.len() / rows], [*from, *to], *lost)?
            }
            Kernel::Lose { from, to } => {
                let d = at(self, 0);
                calls.keep_rows(d, d, [chunk.tokens, d.len() / rows], [*from, *to], 0.0)?
            }
            Kernel::Gather => {
                let (x, out) = (at(self, 0), at(self, 1));
                if out.len() == 0 {
                    return Ok(());
                }
                let picks = self.picks(chunk);
                calls.gather_rows(x, picks, out, x.len() / rows)?
            }
            Kernel::Scatter { add } => {
                let (x, out) = (at(self, 0), at(self, 1));
                let picks = self.picks(chunk);
                calls.scatter_rows(x, picks, out, out.len() / rows, *add)?
            }
            Kernel::Island(of) => return self.island(here, of),
            Kernel::IslandBack(of) => return self.island_back(here, of),
        };
        self.push(operation);
        Ok(())
    }

    pub(super) fn columns(
        &mut self,
        from: Columns,
        to: Columns,
        rows: usize,
        width: usize,
        add: bool,
    ) -> Result<()> {
        if rows * width > 0 {
            let operation = self.calls().move_columns(from, to, rows, width, add)?;
            self.push(operation);
        }
        Ok(())
    }
}

/// A table's rows at a chunk's tokens.
fn positions(table: Span, chunk: &Chunk, rows: Span) -> Span {
    let width = rows.len() / chunk.rows().max(1);
    table.part(chunk.first * width, chunk.tokens * width)
}
