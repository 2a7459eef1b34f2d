//! Where a lowered program's places lie in the GPU's memory.

use looped_gpu::{Element, Layout, Span};
use looped_graph::lower::{Place, Sizes, Space};

/// The spaces of a program, and the parameters before them.
pub(crate) struct Places {
    /// Parameters, and what is computed of them alone.
    pub(crate) values: Span,
    /// The gradient with respect to each.
    pub(crate) grads: Span,
    /// The values in bf16, where products take them so.
    pub(crate) low: Option<Span>,
    early: Span,
    chunk: Span,
    slots: Span,
    slot: usize,
    scratch: Span,
}

impl Places {
    /// Makes room for `len` parameters and a program with so many slots. A slot has `slot` floats: less than the program's where nothing
    /// is kept.
    pub(crate) fn new(layout: &mut Layout, len: usize, low: bool, sizes: Sizes, slots: [usize; 2]) -> Self {
        let [count, slot] = slots;
        Self {
            values: layout.floats(len),
            grads: layout.floats(len),
            low: low.then(|| layout.place(Element::Bf16, len)),
            early: layout.floats(sizes.early),
            chunk: layout.floats(sizes.chunk),
            slots: layout.floats(count * slot),
            slot,
            scratch: layout.floats(sizes.scratch),
        }
    }

    /// A place, in the slot of one loop.
    pub(crate) fn at(&self, place: Place, slot: usize) -> Span {
        let (space, base) = match place.space {
            Space::Early => (self.early, 0),
            Space::Chunk => (self.chunk, 0),
            Space::Slot => (self.slots, slot * self.slot),
            Space::Next => (self.slots, (slot + 1) * self.slot),
            Space::Scratch => (self.scratch, 0),
        };
        if place.len == 0 {
            space.part(0, 0)
        } else {
            space.part(base + place.start as usize, place.len as usize)
        }
    }
}
