//! How much memory the engine takes: its own buffers' lengths, added up before any of them is there.

use looped_core::{Error, Footprint, Result, Work};
use looped_graph::Graph;
use looped_graph::lower::{Program, Shapes};

use crate::chunks::chunks;
use crate::engine::{least_sequences, tokens_of};
use crate::layout::Layout;
use crate::plans::Plans;
use crate::weights::layers;

/// Scratch space of the kernels, about: a weight gradient's packed inputs, so many floats for each of as many rows at most.
const KERNEL_ROWS: usize = 336;
const KERNEL_WIDTH: usize = 304;

/// What the engine takes at most for this work, besides the parameters and prompts that it is given. Nothing of that size is allocated.
///
/// # Errors
/// If the engine can't take the graph.
pub fn footprint(graph: &Graph, work: Work) -> Result<Footprint> {
    let Work { prompts, layout: of, points, loops, window, threads } = work;
    let (layout, plans) = (Layout::new(graph), Plans::new(graph));
    let (tokens, reads) = tokens_of(of, points);
    let early = Program::early_tokens(graph, tokens, &reads, &plans);
    let looped = Program::tokens_in_use(graph, tokens, &reads) - early;
    let chunks = chunks(prompts, [early, looped], least_sequences(graph), threads);
    let sequences = chunks.iter().map(ExactSizeIterator::len).max().unwrap_or(1);
    let shapes = Shapes { sequences, tokens, reads, apart: false };
    let program = Program::new(graph, &shapes, &plans).map_err(Error::Data)?;
    let sizes = program.sizes;
    let training = window > 0;
    let width = graph.read().map_or(0, |read| graph.shape(read).width);
    let state = program.looped.as_ref().map_or(0, |looped| looped.state.len as usize);
    let slots = if training { window.min(loops) as f64 * sizes.slot as f64 } else { state as f64 };
    let own = (sizes.early + sizes.chunk + sizes.scratch) as f64
        + slots
        + if training { layout.len_for(loops) as f64 } else { (loops * sequences * points * width) as f64 };
    let kernels = (KERNEL_ROWS.min(sequences * (early.max(looped))) * KERNEL_WIDTH) as f64;
    let workers = threads.min(chunks.len()) as f64;
    let weights: usize = layers(graph).iter().map(|layer| layer.inputs * layer.out).sum();
    let packed = if training { 2 * weights } else { weights } as f64;
    // The parameters once more, where rows are computed of them.
    let copy = if layout.has_rows() { layout.len_for(loops) as f64 } else { 0.0 };
    // The gradients, which take a worker's buffer with them, or the predictions laid side by side.
    let given = if training { layout.len_for(loops) as f64 } else { 0.0 };
    let results = if training { given } else { loops as f64 * (prompts * points * width) as f64 };
    Ok(Footprint { kept: 4.0 * (workers * (own + kernels) + copy + packed - given), passing: 4.0 * results })
}
