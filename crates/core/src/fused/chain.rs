//! Blocks one after another, as one.

use std::ops::Range;

use rayon::prelude::*;

use super::{Backward, Chunk, Forward, FusedBlock, FusedSizes, Kernels, Outputs, PackedBlock, cut, cut_len};

/// Fused blocks, one after another: the backbone of a model, and any block made of blocks.
pub struct Chain {
    links: Vec<(String, Box<dyn FusedBlock>)>,
    width: usize,
}

impl Chain {
    /// The blocks in order, each with the prefix of its parameters' names.
    #[must_use]
    pub fn new(links: Vec<(String, Box<dyn FusedBlock>)>, width: usize) -> Self {
        Self { links, width }
    }
}

impl FusedBlock for Chain {
    fn parameters(&self) -> Vec<(String, usize)> {
        let names = |(prefix, block): &(String, Box<dyn FusedBlock>)| {
            let full = |(name, len)| (format!("{prefix}.{name}"), len);
            block.parameters().into_iter().map(full).collect::<Vec<_>>()
        };
        self.links.iter().flat_map(names).collect()
    }

    fn least_sequences(&self) -> usize {
        self.links.iter().map(|(_, block)| block.least_sequences()).max().unwrap_or(1)
    }

    fn pack(&self, weights: &[&[f32]], kernels: Kernels) -> Box<dyn PackedBlock> {
        let (mut rest, mut end) = (weights, 0);
        let mut parts = Vec::with_capacity(self.links.len());
        for (_, block) in &self.links {
            let parameters = block.parameters();
            let (own, later) = rest.split_at(parameters.len());
            let start = end;
            rest = later;
            end += parameters.iter().map(|(_, len)| len).sum::<usize>();
            parts.push((block.as_ref(), own, start..end));
        }
        let link = |(block, own, grads): (&dyn FusedBlock, &[&[f32]], Range<usize>)| Link {
            block: block.pack(own, kernels),
            grads,
        };
        let links = parts.into_par_iter().map(link).collect();
        Box::new(PackedChain { links, width: self.width })
    }
}

struct Link {
    block: Box<dyn PackedBlock>,
    /// Where its gradients lie.
    grads: Range<usize>,
}

/// On the tape, each block's own part is followed by its output; that of the last block isn't kept.
struct PackedChain {
    links: Vec<Link>,
    width: usize,
}

/// Where the links' parts of a buffer lie, each starting on a cache line.
struct Parts(Vec<Range<usize>>);

impl Parts {
    fn new(lens: impl Iterator<Item = usize>) -> Self {
        let mut end = 0;
        let ranges = lens.map(|len| {
            let start = end;
            end += cut_len(&[len]);
            start..start + len
        });
        Self(ranges.collect())
    }

    /// The part of link `i`; nothing of a buffer that isn't there.
    fn of<'a>(&self, i: usize, buffer: &'a [f32]) -> &'a [f32] {
        if buffer.is_empty() { &[] } else { &buffer[self.0[i].clone()] }
    }

    fn of_mut<'a>(&self, i: usize, buffer: &'a mut [f32]) -> &'a mut [f32] {
        if buffer.is_empty() { &mut [] } else { &mut buffer[self.0[i].clone()] }
    }
}

/// A chain's links, packed or not, as far as memory goes.
trait Links: Send + Sync {
    fn count(&self) -> usize;
    fn sizes_of(&self, i: usize) -> &dyn FusedSizes;
    fn width(&self) -> usize;

    fn state_len(&self, chunk: Chunk) -> usize {
        chunk.rows() * self.width()
    }

    /// The chunk as link `i` sees it: every output is read by the next link.
    fn chunk_of(&self, i: usize, chunk: Chunk) -> Chunk {
        if i + 1 == self.count() { chunk } else { Chunk { outputs: Outputs::All, ..chunk } }
    }

    /// Floats of a link's part of the tape.
    fn tape_len_of(&self, i: usize, chunk: Chunk) -> usize {
        self.sizes_of(i).tape_len(self.chunk_of(i, chunk))
    }

    fn memories(&self, chunk: Chunk) -> Parts {
        Parts::new((0..self.count()).map(|i| self.sizes_of(i).memory_len(chunk)))
    }

    /// The memories that a chunk gets from its prefix.
    fn memories_before(&self, chunk: Chunk) -> Parts {
        self.memories(Chunk { tokens: chunk.prefix, prefix: 0, ..chunk })
    }
}

impl Links for Chain {
    fn count(&self) -> usize {
        self.links.len()
    }

    fn sizes_of(&self, i: usize) -> &dyn FusedSizes {
        self.links[i].1.as_ref()
    }

    fn width(&self) -> usize {
        self.width
    }
}

impl Links for PackedChain {
    fn count(&self) -> usize {
        self.links.len()
    }

    fn sizes_of(&self, i: usize) -> &dyn FusedSizes {
        self.links[i].block.sizes()
    }

    fn width(&self) -> usize {
        self.width
    }
}

impl<T: Links> FusedSizes for T {
    fn tape_len(&self, chunk: Chunk) -> usize {
        let own = (0..self.count()).map(|i| cut_len(&[self.tape_len_of(i, chunk)]));
        own.sum::<usize>() + self.count().saturating_sub(1) * cut_len(&[self.state_len(chunk)])
    }

    fn memory_len(&self, prefix: Chunk) -> usize {
        (0..self.count()).map(|i| cut_len(&[self.sizes_of(i).memory_len(prefix)])).sum()
    }

    fn scratch_len(&self, chunk: Chunk) -> usize {
        let state = self.state_len(chunk);
        let own = |i| self.sizes_of(i).scratch_len(self.chunk_of(i, chunk));
        cut_len(&[state, state]) + (0..self.count()).map(own).max().unwrap_or(0)
    }
}

impl PackedBlock for PackedChain {
    fn sizes(&self) -> &dyn FusedSizes {
        self
    }

    fn forward(&self, chunk: Chunk, x: &[f32], out: &mut [f32], pass: Forward<'_>) {
        let Forward { before, memory, tape, scratch, kernel_scratch } = pass;
        let Some((last, earlier)) = self.links.split_last() else { return out.copy_from_slice(x) };
        let (parts_before, parts) = (self.memories_before(chunk), self.memories(chunk));
        let state = self.state_len(chunk);
        let (states, scratch) = scratch.split_at_mut(cut_len(&[state, state]));
        let mut run = |i: usize, link: &Link, x: &[f32], y: &mut [f32], tape: &mut [f32]| {
            let (before, memory) = (parts_before.of(i, before), parts.of_mut(i, memory));
            let chunk = self.chunk_of(i, chunk);
            link.block.forward(chunk, x, y, Forward { before, memory, tape, scratch, kernel_scratch });
        };
        if tape.is_empty() {
            // Outputs alternate between two places.
            let [even, odd] = cut(states, [state, state]);
            for (i, link) in earlier.iter().enumerate() {
                let (from, to) = if i % 2 == 0 { (&*odd, &mut *even) } else { (&*even, &mut *odd) };
                run(i, link, if i == 0 { x } else { from }, to, &mut []);
            }
            let from = if earlier.len() % 2 == 0 { &*odd } else { &*even };
            run(earlier.len(), last, if earlier.is_empty() { x } else { from }, out, &mut []);
        } else {
            let (mut x, mut rest) = (x, tape);
            for (i, link) in earlier.iter().enumerate() {
                let len = self.tape_len_of(i, chunk);
                let (own, later) = rest.split_at_mut(cut_len(&[len]));
                let (y, later) = later.split_at_mut(cut_len(&[state]));
                run(i, link, x, &mut y[..state], &mut own[..len]);
                (x, rest) = (&y[..state], later);
            }
            run(earlier.len(), last, x, out, &mut rest[..self.tape_len_of(earlier.len(), chunk)]);
        }
    }

    fn backward(&self, chunk: Chunk, x: &[f32], dy: &mut [f32], pass: Backward<'_>) {
        let Backward { before, dbefore, dmemory, tape, grads, scratch, kernel_scratch } = pass;
        let (parts_before, parts) = (self.memories_before(chunk), self.memories(chunk));
        let state = self.state_len(chunk);
        let mut rest = tape;
        for (i, link) in self.links.iter().enumerate().rev() {
            let own_len = self.tape_len_of(i, chunk);
            let chunk = self.chunk_of(i, chunk);
            let (earlier, own) = rest.split_at_mut(rest.len() - cut_len(&[own_len]));
            let (earlier, x) = match i {
                0 => (earlier, x),
                _ => {
                    let (earlier, x) = earlier.split_at_mut(earlier.len() - cut_len(&[state]));
                    (earlier, &x[..state])
                }
            };
            let pass = Backward {
                before: parts_before.of(i, before),
                dbefore: parts_before.of_mut(i, dbefore),
                dmemory: parts.of(i, dmemory),
                tape: &mut own[..own_len],
                grads: &mut grads[link.grads.clone()],
                scratch,
                kernel_scratch,
            };
            link.block.backward(chunk, x, dy, pass);
            rest = earlier;
        }
    }
}
