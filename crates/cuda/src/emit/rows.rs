//! Norms, attention, scans and elementwise programs: what looks at whole rows or columns.

use looped_gpu::calls::{Calls, Cores, Given, NormBackward, Seen, StateSpace, States};
use looped_gpu::{Math, Result, Source, Span, Storage};
use looped_graph::lower::{At, Chunk, PointOf, ScanOf};
use looped_graph::{Heads, Norm};

use super::joined::HandedOn;
use super::parts::is_by_loop;
use super::{Emit, Here, storage};
use crate::low::next_readers;
use crate::point;

/// Blocks that share the rows of a norm's backward pass.
pub(super) const NORM_BLOCKS: usize = 264;
/// Rows that a block of it takes at a time.
pub(super) const NORM_ROWS: usize = 8;

impl Emit<'_> {
    pub(super) fn norm_back(&mut self, here: Here<'_>, norm: Norm, add: bool) -> Result<()> {
        let places = &here.of().places;
        let [dy, x, dx] = [0, 1, 4].map(|i| self.places.at(places[i], here.run.slot));
        let (weight, width) = (self.param(norm.weight), self.param(norm.weight).len());
        let rows = x.len() / width.max(1);
        let mut goals = vec![(0, self.grad(norm.weight))];
        goals.extend(norm.bias.map(|bias| (width, self.grad(bias))));
        let blocks = NORM_BLOCKS.min(rows.div_ceil(NORM_ROWS));
        let partials = self.sum(here, here.key(0), [blocks, 2 * width], &goals);
        // What products read of it next is rounded at once, and what a weight's gradient will read is written there at once, if that comes
        // at the end of the step.
        let (rounds, stored) = (self.math == Math::Bf16, &here.run.pair.stored);
        let low = match next_readers(here.steps, here.step + 1, places[4]) {
            (Some((step, operand)), _) if rounds || stored.is_home((here.half, step, 1 - operand)) => {
                Some(self.home(here.run, (here.half, step, operand)))
            }
            (None, true) if rounds => Some(self.low.passing(&mut self.layout, dx.len())),
            _ => None,
        };
        if let Some(low) = low {
            self.low.note(dx, low, false);
        }
        let HandedOn { total, end } = here.handed_on();
        let [total, end] = [total, end].map(|place| place.map(|place| self.places.at(place, here.run.slot)));
        let operation =
            self.calls_for(width, low.map_or(Storage::F32, storage)).norm_backward(&NormBackward {
                dy,
                x,
                weight,
                residual: add.then_some(dx),
                dx: end.unwrap_or(dx),
                low,
                total,
                partials,
                rms: norm.bias.is_none(),
            })?;
        self.push(operation);
        Ok(())
    }

    /// Where one of the places lies that attention reads, whose result is another. It takes all of them rounded or none: what was rounded for
    /// a product alone is no business of its.
    pub(super) fn seen_at(&self, here: Here<'_>, which: usize, result: usize) -> Span {
        let rounded = here.run.pair.stored.elsewhere((here.half, here.step, result));
        match self.math {
            Math::Bf16 if !rounded => self.places.at(here.of().places[which], here.run.slot),
            _ => self.get(here, which),
        }
    }

    /// How attention is done to rows as wide as `out`'s.
    pub(super) fn seen(&self, heads: Heads, prefix: usize, chunk: &Chunk, out: Span) -> (Calls, Cores, Seen) {
        let width = out.len() / chunk.rows().max(1);
        let source = Source { width, head: width / heads.heads.max(1), storage: storage(out) };
        let seen = Seen { tokens: chunk.tokens, prefix, causal: heads.causal };
        let tensor = self.math != Math::F32 && Cores::Tensor.can(seen, source.head);
        (Calls { source }, if tensor { Cores::Tensor } else { Cores::Plain }, seen)
    }

    pub(super) fn system(&self, of: ScanOf) -> StateSpace {
        let [decay, gain, read, skip] = of.system.map(|shared| self.shared(shared, 0).values);
        StateSpace { decay, gain, read, skip }
    }

    pub(super) fn scan_back(&mut self, here: Here<'_>, of: ScanOf) -> Result<()> {
        let places = &here.of().places;
        let [x, before, dlast, dy, dbefore] =
            [0, 1, 2, 3, 4].map(|i| self.places.at(places[i], here.run.slot));
        let maybe = |span: Span| Some(span).filter(|span| span.len() > 0);
        let goals: Vec<(usize, Span)> = of
            .system
            .iter()
            .scan(0, |column, shared| {
                let goal = self.shared(*shared, 0).grads;
                let first = *column;
                *column += goal.len();
                Some((first, goal))
            })
            .collect();
        let (sequences, calls) = (here.run.chunk.sequences, self.calls());
        let kept = self.room("states of a scan", 8 * x.len());
        let dx = self.room("gradient of a scan", x.len());
        let partials = self.sum(here, here.key(0), [sequences, 3 * of.states + of.width], &goals);
        let slopes = States { before: maybe(dbefore), last: maybe(dlast) };
        let (system, tokens) = (self.system(of), here.run.chunk.tokens);
        let operation =
            calls.scan_backward(&system, maybe(before), slopes, [x, dy], dx, kept, partials, tokens)?;
        self.push(operation);
        self.push(calls.copy_rows(dx, dy)?);
        Ok(())
    }

    pub(super) fn point(&mut self, here: Here<'_>, of: &PointOf) -> Result<()> {
        let places = &here.of().places;
        let lens: Vec<usize> = places.iter().map(|place| place.len as usize).collect();
        let rows = point::rows(of, &lens);
        if rows == 0 || of.width == 0 {
            return Ok(());
        }
        let inputs = of.inputs.iter().map(|strided| match strided.at {
            At::Place(place) => Given::Read(self.places.at(places[place], here.run.slot)),
            At::Shared(shared) | At::Gradient(shared) => {
                Given::Read(self.shared(shared, here.run.index).values)
            }
        });
        let inputs = inputs.collect();
        let mut results = Vec::new();
        for (which, (strided, _)) in of.results.iter().enumerate() {
            results.push(Given::Write(match strided.at {
                At::Place(place) => self.places.at(places[place], here.run.slot),
                At::Shared(shared) | At::Gradient(shared) => {
                    let goal = self.shared(shared, here.run.index).grads.part(strided.column, of.width);
                    let own = is_by_loop(shared).then_some(here.run.index);
                    let key = (here.list(), here.step, which, own);
                    self.sum(here, key, [point::lines(of, rows), of.width], &[(0, goal)])
                }
            }));
        }
        let Some(own) = &self.own else { return Ok(()) };
        let given = point::arguments(inputs, results, rows);
        let operation = own.launch(&point::name(of), point::grid(of, rows), &given)?;
        self.push(operation);
        Ok(())
    }
}
