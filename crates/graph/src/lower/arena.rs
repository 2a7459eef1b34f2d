//! Where each buffer lies.
//!
//! A buffer of one list of steps lies in scratch memory, which it shares with those that are never alive when it is. One that is written by a forward list
//! and read by its backward list is kept. All start on a cache line.

use super::{Kernel, Place, Space, Step};
use crate::NodeId;

/// Floats in a cache line.
const LINE: usize = 16;

/// A buffer while steps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Buf(pub(super) usize);

/// A buffer that isn't there.
pub(super) const NOTHING: Buf = Buf(usize::MAX);

/// A step on buffers.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) kernel: Kernel,
    pub(super) node: NodeId,
    pub(super) bufs: Vec<Buf>,
}

/// What is known of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    pub(super) len: usize,
    /// Where it lies, if that was decided elsewhere.
    pub(super) home: Option<Place>,
}

/// How many floats each memory of a worker takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// [`Space::Early`].
    pub early: usize,
    /// [`Space::Chunk`].
    pub chunk: usize,
    /// [`Space::Slot`]: of one loop.
    pub slot: usize,
    /// [`Space::Scratch`].
    pub scratch: usize,
}

impl Sizes {
    /// These sizes, unless one is more than a place can say.
    ///
    /// # Errors
    /// What is too large.
    pub(super) fn that_fit(self) -> Result<Self, String> {
        let Self { early, chunk, slot, scratch } = self;
        let most = early.max(chunk).max(slot).max(scratch);
        if u32::try_from(most).is_ok() {
            return Ok(self);
        }
        let (takes, most) = (4.0 * most as f64 / 1e9, 4.0 * f64::from(u32::MAX) / 1e9);
        Err(format!("its prompts take {takes:.0} GB at a time, and {most:.0} GB is the most"))
    }

    /// Takes room for `len` more floats.
    pub(super) fn take(&mut self, space: Space, len: usize) -> Place {
        let end = match space {
            Space::Early => &mut self.early,
            Space::Chunk => &mut self.chunk,
            Space::Slot | Space::Next => &mut self.slot,
            Space::Scratch => &mut self.scratch,
        };
        let start = *end as u32;
        *end += len.next_multiple_of(LINE);
        Place { space, start, len: len as u32 }
    }
}

/// Places the buffers of a forward and a backward list: what crosses from the one to the other in `kept`.
pub(super) fn place(
    buffers: &[Buffer],
    lists: [Vec<Draft>; 2],
    kept: Space,
    sizes: &mut Sizes,
    apart: bool,
) -> [Vec<Step>; 2] {
    let uses = [0, 1].map(|i| spans(buffers.len(), &lists[i]));
    let mut places: Vec<Option<Place>> = buffers.iter().map(|buffer| buffer.home).collect();
    for (i, place) in places.iter_mut().enumerate() {
        if place.is_none() && uses.iter().all(|of| of[i].is_some()) {
            *place = Some(sizes.take(kept, buffers[i].len));
        }
    }
    let [forward, backward] = lists;
    let mut of = |list: Vec<Draft>, spans: &[Option<(usize, usize)>]| {
        let mut places = places.clone();
        share(buffers, spans, &mut places, sizes, apart);
        list.into_iter().map(|draft| finish(draft, &places)).collect()
    };
    [of(forward, &uses[0]), of(backward, &uses[1])]
}

fn finish(draft: Draft, places: &[Option<Place>]) -> Step {
    let Draft { kernel, node, bufs } = draft;
    let place = |buf: Buf| match buf {
        NOTHING => Place::NONE,
        // Every buffer that a step of this list names was placed: `spans` found it there.
        Buf(i) => places[i].unwrap_or(Place::NONE),
    };
    Step { kernel, node, places: bufs.into_iter().map(place).collect() }
}

/// First and last step that names each buffer.
fn spans(count: usize, list: &[Draft]) -> Vec<Option<(usize, usize)>> {
    let mut spans: Vec<Option<(usize, usize)>> = vec![None; count];
    for (at, draft) in list.iter().enumerate() {
        for &Buf(i) in draft.bufs.iter().filter(|&&buf| buf != NOTHING) {
            spans[i] = Some((spans[i].map_or(at, |(first, _)| first), at));
        }
    }
    spans
}

/// Gives each buffer of one list the lowest room that is free while it is needed.
fn share(
    buffers: &[Buffer],
    spans: &[Option<(usize, usize)>],
    places: &mut [Option<Place>],
    sizes: &mut Sizes,
    apart: bool,
) {
    let mut open: Vec<(usize, usize, usize)> =
        (0..buffers.len()).filter_map(|i| spans[i].map(|(first, last)| (first, last, i))).collect();
    open.sort_unstable();
    let mut taken: Vec<(usize, usize, usize)> = Vec::new();
    for (first, last, i) in open {
        if places[i].is_some() {
            continue;
        }
        let len = buffers[i].len.next_multiple_of(LINE);
        if !apart {
            taken.retain(|&(_, _, until)| until >= first);
        }
        taken.sort_unstable();
        let mut start = 0;
        for &(from, to, _) in &taken {
            if start + len <= from {
                break;
            }
            start = start.max(to);
        }
        taken.push((start, start + len, last));
        sizes.scratch = sizes.scratch.max(start + len);
        places[i] = Some(Place { space: Space::Scratch, start: start as u32, len: buffers[i].len as u32 });
    }
}
