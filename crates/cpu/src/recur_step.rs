//! Recurrences as steps of a program.

use looped_graph::lower::{Chunk, Place, RecurOf};

use crate::recur::{Backward, Extent, Forward};
use crate::run::Run;

fn extent(chunk: &Chunk, of: &RecurOf) -> Extent {
    Extent { sequences: chunk.sequences, tokens: chunk.tokens, prefix: of.prefix }
}

impl Run<'_> {
    pub(crate) fn recur(&mut self, of: &RecurOf, places: &[Place], chunk: &Chunk, slot: usize) {
        let plan = self.plans.get(of.node);
        let mut slices = self.memory.some(places, slot).into_iter();
        let mut next = || slices.next().unwrap_or_default();
        let (x, before, tape, last, scratch) = (next(), next(), next(), next(), next());
        // Scratch space holds the tape where none is kept; room for both was asked for.
        let mut outs: Vec<&mut [f32]> = slices.collect();
        let pass = Forward { x, before, last, tape, scratch, read: &of.read, outs: &mut outs };
        plan.forward(self.weights, extent(chunk, of), pass, self.scratch);
    }

    pub(crate) fn recur_back(&mut self, of: &RecurOf, places: &[Place], chunk: &Chunk, slot: usize) {
        let plan = self.plans.get(of.node);
        let mut slices = self.memory.some(places, slot).into_iter();
        let mut next = || slices.next().unwrap_or_default();
        let (x, dlast, tape, dbefore, scratch, dx) = (next(), next(), next(), next(), next(), next());
        let douts: Vec<&[f32]> = slices.map(|slice| &*slice).collect();
        let read = &of.read;
        let pass = Backward { x, dlast, tape, scratch, read, douts: &douts, dbefore, dx, add: of.add };
        plan.backward(self.weights, self.grads, extent(chunk, of), pass, self.scratch);
    }
}
