//! Lists of steps that stand by themselves: what one leaves for another lies at its place, and nothing is left for the end of a step.

use looped_cpu::engines::Layout as Flat;
use looped_gpu::{Element, Result, Span};
use looped_graph::Graph;
use looped_graph::lower::{Program, Shared};

use super::{Emit, clear};
use crate::places::Row;

/// Whether each loop has its own of this.
pub(crate) fn is_by_loop(shared: Shared) -> bool {
    matches!(shared, Shared::Loop { .. } | Shared::EachLoop(_))
}

impl Emit<'_> {
    /// Makes room for what a loop has of its own: from now on steps take it from there, whatever the loop is.
    pub(crate) fn bring_by_loop(&mut self, graph: &Graph, flat: &Flat) {
        let rounds = self.places.low.is_some();
        let mut all: Vec<Shared> =
            Program::shared(graph).into_values().filter(|row| is_by_loop(*row)).collect();
        // In the same order in each process.
        all.sort_by_key(|shared| format!("{shared:?}"));
        all.dedup();
        for shared in all {
            let len = flat.shared(shared, 0).len();
            let row = Row {
                values: self.layout.floats(len),
                grads: self.layout.floats(len),
                low: rounds.then(|| self.layout.place(Element::Bf16, len)),
            };
            self.brought.push((shared, row));
        }
    }

    /// Brings what a loop has of its own.
    pub(crate) fn fetch_by_loop(&mut self, index: usize) -> Result<()> {
        for (shared, row) in self.brought.clone() {
            let own = self.places.row(self.flat.shared(shared, index)).values;
            self.copy(own, row.values)?;
            self.push(clear(row.grads));
            if let Some(low) = row.low {
                let operation = self.rounding().narrow(row.values, low)?;
                self.push(operation);
            }
        }
        Ok(())
    }

    /// Adds the gradients with respect to that to those of all loops.
    pub(crate) fn give_by_loop(&mut self, index: usize) -> Result<()> {
        for (shared, row) in self.brought.clone() {
            let own = self.places.row(self.flat.shared(shared, index)).grads;
            let operation = self.calls().add_rows(row.grads, own)?;
            self.push(operation);
        }
        Ok(())
    }

    /// Copies numbers, if there are any.
    pub(crate) fn copy(&mut self, from: Span, to: Span) -> Result<()> {
        if from.len() > 0 {
            let operation = self.calls().copy_rows(from, to)?;
            self.push(operation);
        }
        Ok(())
    }

    /// Steps that go backward for the state's gradient alone: weights get none.
    pub(crate) fn for_state_alone(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.state_alone = true;
        let written = write(self);
        self.state_alone = false;
        written
    }

    /// Ends a part: its gradients are done, and what was noted in it is forgotten.
    pub(crate) fn end_part(&mut self) -> Result<()> {
        self.finish()?;
        self.low.end_part();
        self.last_norm = None;
        Ok(())
    }
}
