//! Cosines and sines of rotary positions, computed once for a program.

use std::collections::HashMap;

use looped_graph::lower::{Chunk, Kernel, Program};
use looped_graph::ops::Rotary;

/// For each width of a head: (positions, pairs) of cosine and sine.
pub(crate) struct Turns(HashMap<usize, Vec<[f32; 2]>>);

impl Turns {
    pub(crate) fn of(program: &Program) -> Self {
        let chunks =
            program.early.iter().map(|of| &of.chunk).chain(program.looped.iter().map(|of| &of.chunk));
        let chunks = chunks.chain(program.watched.iter().map(|of| &of.chunk));
        let positions = chunks.map(|chunk| chunk.first + chunk.tokens).max().unwrap_or(0);
        let rows = |chunk: &Chunk| chunk.rows().max(1);
        let mut turns = HashMap::new();
        let early = program.early.iter().flat_map(|of| [(&of.chunk, &of.steps.forward)]);
        let looped = program.looped.iter().flat_map(|of| {
            [(&of.chunk, &of.prelude.forward), (&of.chunk, &of.body.forward), (&of.chunk, &of.last.forward)]
        });
        let watched = program.watched.iter().flat_map(|of| [(&of.chunk, &of.prelude), (&of.chunk, &of.each)]);
        for (chunk, steps) in early.chain(looped).chain(watched) {
            for step in steps {
                if let Kernel::Rotary { rotary, .. } = step.kernel {
                    let head = rotary.head(step.places[0].len as usize / rows(chunk));
                    turns.entry(head).or_insert_with(|| table(head, positions));
                }
            }
        }
        Self(turns)
    }

    fn row(&self, head: usize, position: usize) -> &[[f32; 2]] {
        let pairs = head / 2;
        self.0.get(&head).map_or(&[], |table| &table[position * pairs..(position + 1) * pairs])
    }

    /// Turns the first parts of each row by its token's position, or back.
    pub(crate) fn turn(&self, rotary: Rotary, back: bool, chunk: &Chunk, x: &[f32], out: &mut [f32]) {
        let width = x.len() / chunk.rows().max(1);
        let (head, turned) = (rotary.head(width), rotary.parts * (width / rotary.of));
        let rows = x.chunks_exact(width.max(1)).zip(out.chunks_exact_mut(width.max(1)));
        for (i, (x, out)) in rows.enumerate() {
            let turns = self.row(head, chunk.first + i % chunk.tokens);
            out[turned..].copy_from_slice(&x[turned..]);
            for (x, out) in x[..turned].chunks_exact(head).zip(out[..turned].chunks_exact_mut(head)) {
                for ((x, out), [cos, sin]) in x.chunks_exact(2).zip(out.chunks_exact_mut(2)).zip(turns) {
                    let sin = if back { -sin } else { *sin };
                    out[0] = x[0] * cos - x[1] * sin;
                    out[1] = x[0] * sin + x[1] * cos;
                }
            }
        }
    }
}

fn table(head: usize, positions: usize) -> Vec<[f32; 2]> {
    let turn = |position| (0..head / 2).map(move |i| Rotary::turn(i, head, position));
    (0..positions).flat_map(turn).map(|(cos, sin)| [cos as f32, sin as f32]).collect()
}
