//! A batch's numbers as the GPU takes them.

use looped_core::Prompts;
use looped_graph::Graph;
use looped_graph::lower::Chunk;

/// The chunk's tokens as rows of a graph's input: (prompts, tokens, width).
pub(crate) fn tokens(prompts: &Prompts, chunk: &Chunk, graph: &Graph) -> Vec<f32> {
    let (width, noise) = (graph.input_width(), graph.noise_width());
    let mut rows = vec![0.0; chunk.rows() * width];
    for (i, row) in rows.chunks_exact_mut(width.max(1)).enumerate() {
        prompts.write_row(i / chunk.tokens, chunk.first + i % chunk.tokens, noise, row);
    }
    rows
}

/// What is to be predicted at the chunk's read rows: (prompts, reads).
pub(crate) fn targets(prompts: &Prompts, chunk: &Chunk) -> Vec<f32> {
    let mut all = Vec::with_capacity(chunk.read_rows());
    for prompt in 0..chunk.sequences {
        let (_, ys) = prompts.get(prompt);
        all.extend(chunk.reads.iter().map(|read| ys[prompts.layout.point(chunk.first + read)]));
    }
    all
}

/// Writes a chunk's predictions (prompts, reads, width) to their points of (prompts, points, width).
pub(crate) fn spread(prompts: &Prompts, chunk: &Chunk, width: usize, from: &[f32], to: &mut [f32]) {
    let each = (chunk.reads.len() * width).max(1);
    for (from, to) in from.chunks_exact(each).zip(to.chunks_exact_mut(prompts.points * width)) {
        for (read, prediction) in chunk.reads.iter().zip(from.chunks_exact(width)) {
            let point = prompts.layout.point(chunk.first + read);
            to[point * width..(point + 1) * width].copy_from_slice(prediction);
        }
    }
}
