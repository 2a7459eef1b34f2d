//! Where a lowered program's places lie in the GPU's memory.

use std::ops::Range;

use looped_gpu::calls::{DECISION, SETTINGS};
use looped_gpu::{Element, Layout, Span};
use looped_graph::lower::{Place, Sizes, Space};

/// What lies first in the arena, whatever is run: it stays from call to call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front {
    /// Parameters, and what is computed of them alone.
    pub(crate) values: Span,
    /// The gradient with respect to each.
    pub(crate) grads: Span,
    /// Adam's means of the gradients and of their squares.
    pub(crate) moments: [Span; 2],
    /// What Adam goes by.
    pub(crate) settings: Span,
    /// What its last update decided, and then the loss.
    pub(crate) told: Span,
    /// What each prediction's loss counts.
    pub(crate) share: Span,
}

impl Front {
    /// Makes room for `len` parameters.
    pub(crate) fn new(layout: &mut Layout, len: usize) -> Self {
        Self {
            values: layout.floats(len),
            grads: layout.floats(len),
            moments: [layout.floats(len), layout.floats(len)],
            settings: layout.place(Element::F64, SETTINGS),
            told: layout.floats(DECISION + 1),
            share: layout.floats(1),
        }
    }

    /// What Adam's last update decided.
    pub(crate) fn decision(&self) -> Span {
        self.told.part(0, DECISION)
    }

    /// The loss.
    pub(crate) fn loss(&self) -> Span {
        self.told.part(DECISION, 1)
    }
}

/// What is computed of parameters alone, for each loop: it lies behind a program's own numbers, since how much it is depends on the loops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EachLoop {
    /// The rows.
    pub(crate) values: Span,
    /// The gradient with respect to each.
    pub(crate) grads: Span,
}

/// Numbers that are the same for all prompts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) values: Span,
    /// The gradient with respect to them.
    pub(crate) grads: Span,
    /// The same in bf16, where products take them so.
    pub(crate) low: Option<Span>,
}

/// The spaces of a program.
pub(crate) struct Places {
    pub(crate) front: Front,
    pub(crate) each_loop: EachLoop,
    /// The parameters in bf16, and what each loop has, where products take them so.
    pub(crate) low: Option<[Span; 2]>,
    early: Span,
    chunk: Span,
    slots: Span,
    slot: usize,
    scratch: Span,
    /// A place of which each slot has one of its own.
    apart: Option<(Place, Span)>,
}

impl Places {
    /// Makes room for a program with so many slots. A slot has `slot` floats: less than the program's where nothing is kept. What each loop
    /// has of its own are so many floats in all loops.
    pub(crate) fn new(
        layout: &mut Layout,
        front: Front,
        each_loop: usize,
        low: bool,
        sizes: Sizes,
        slots: [usize; 2],
    ) -> Self {
        let [count, slot] = slots;
        Self {
            front,
            each_loop: EachLoop { values: layout.floats(each_loop), grads: layout.floats(each_loop) },
            low: low.then(|| [front.values.len(), each_loop].map(|len| layout.place(Element::Bf16, len))),
            early: layout.floats(sizes.early),
            chunk: layout.floats(sizes.chunk),
            slots: layout.floats(count * slot),
            slot,
            scratch: layout.floats(sizes.scratch),
            apart: None,
        }
    }

    /// Makes room for what a place holds in each of so many slots; so they don't write it over one another.
    pub(crate) fn keep_apart(&mut self, layout: &mut Layout, place: Place, slots: usize) -> Span {
        let all = layout.floats(slots * place.len as usize);
        self.apart = Some((place, all));
        all
    }

    /// Numbers of a flat buffer: parameters, what is computed of them once, and then what each loop has.
    pub(crate) fn row(&self, range: Range<usize>) -> Row {
        let Self { front, each_loop, .. } = self;
        let (part, len) = (usize::from(range.start >= front.values.len()), range.len());
        let start = range.start - part * front.values.len();
        let of = |all: [Span; 2]| all[part].part(start, len);
        Row {
            values: of([front.values, each_loop.values]),
            grads: of([front.grads, each_loop.grads]),
            low: self.low.map(of),
        }
    }

    /// Floats of a loop's slot.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// All of a loop's slot.
    pub(crate) fn whole_slot(&self, slot: usize) -> Span {
        self.slots.slot(slot, self.slot)
    }

    /// A place, in the slot of one loop.
    pub(crate) fn at(&self, place: Place, slot: usize) -> Span {
        if let Some((_, all)) = self.apart.filter(|(of, _)| *of == place) {
            return all.slot(slot, place.len as usize);
        }
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
