//! A thread's memory, and the places in it.

use std::ops::Range;

use looped_graph::lower::{Place, Sizes, Space};
use looped_ops::AlignedBuffer;

/// The most places that a step has.
const MOST: usize = 16;

/// One buffer: what early tokens keep, what all loops share, a slot for each loop that is run backward, and scratch space.
#[derive(Default)]
pub(crate) struct Memory {
    buffer: AlignedBuffer,
    chunk: usize,
    slots: usize,
    slot: usize,
    scratch: usize,
}

impl Memory {
    /// Makes room for a program with so many slots, and the head of one more. A slot has `slot` floats: less than the program's where nothing
    /// is kept.
    pub(crate) fn fit(&mut self, sizes: Sizes, (slots, slot, head): (usize, usize, usize)) {
        self.chunk = sizes.early;
        self.slots = self.chunk + sizes.chunk;
        self.slot = slot;
        self.scratch = self.slots + slots * slot + head;
        self.buffer.resize(self.scratch + sizes.scratch);
    }

    /// Fills all of it with NaN.
    pub(crate) fn spoil(&mut self) {
        self.buffer.fill(f32::NAN);
    }

    /// Fills the memory of one list of steps with NaN.
    pub(crate) fn spoil_scratch(&mut self) {
        self.buffer[self.scratch..].fill(f32::NAN);
    }

    fn range(&self, place: Place, slot: usize) -> Range<usize> {
        if place.len == 0 {
            return 0..0;
        }
        let base = match place.space {
            Space::Early => 0,
            Space::Chunk => self.chunk,
            Space::Slot => self.slots + slot * self.slot,
            Space::Next => self.slots + (slot + 1) * self.slot,
            Space::Scratch => self.scratch,
        };
        let start = base + place.start as usize;
        start..start + place.len as usize
    }

    /// All of a slot.
    pub(crate) fn slot(&mut self, slot: usize) -> &mut [f32] {
        let start = self.slots + slot * self.slot;
        &mut self.buffer[start..start + self.slot]
    }

    /// Several places at once.
    ///
    /// # Panics
    /// If they overlap: then the program is wrong, and its results would be.
    pub(crate) fn at<const N: usize>(&mut self, places: [Place; N], slot: usize) -> [&mut [f32]; N] {
        let ranges = places.map(|place| self.range(place, slot));
        match self.buffer.get_disjoint_mut(ranges) {
            Ok(slices) => slices,
            Err(error) => panic!("a step's places {places:?}: {error}"),
        }
    }

    /// As many places as a step has.
    ///
    /// # Panics
    /// If they overlap, or are more than [`MOST`].
    pub(crate) fn some(&mut self, places: &[Place], slot: usize) -> Vec<&mut [f32]> {
        assert!(places.len() <= MOST, "a step has {} places", places.len());
        let mut all = [Place::NONE; MOST];
        all[..places.len()].copy_from_slice(places);
        self.at(all, slot).into_iter().take(places.len()).collect()
    }

    /// One place.
    pub(crate) fn one(&mut self, place: Place, slot: usize) -> &mut [f32] {
        let range = self.range(place, slot);
        &mut self.buffer[range]
    }
}
