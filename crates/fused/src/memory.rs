//! How much memory the engine takes: its own buffers' lengths, added up before any of them is there.

use looped_core::ModelConfig;
use looped_core::fused::FusedBlock;

use crate::bench::Bench;
use crate::layout::Layout;
use crate::model::backbone;
use crate::plan::{Tokens, chunks};
use crate::prefix::Prefix;
use crate::stack::Sizes;
use crate::window::Window;

/// Scratch space of the kernels, about: a weight gradient's packed inputs, so many floats for each of as many rows at most.
const KERNEL_ROWS: usize = 336;
const KERNEL_WIDTH: usize = 304;

/// The largest work that an engine will be given.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Prompts at a time.
    pub prompts: usize,
    /// Points in each.
    pub points: usize,
    /// Loops of the model.
    pub loops: usize,
    /// How many of the last loops carry gradient and enter the loss; 0 where nothing is trained.
    pub window: usize,
    /// Threads of the engine.
    pub threads: usize,
}

/// Bytes that an engine takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// What it keeps from call to call.
    pub kept: f64,
    /// What it gives back at the end of each call, results included.
    pub passing: f64,
}

/// What the engine takes at most for this work, besides the parameters and prompts that it is given; `None` where the model
/// has no fused form. Nothing is allocated.
#[must_use]
pub fn footprint(config: &ModelConfig, work: Work) -> Option<Footprint> {
    let Work { prompts, points, loops, window, threads } = work;
    let (dims, injection) = (config.dims(), config.injector.fused()?);
    let backbone = backbone(config)?;
    let layout = Layout::new(dims, &backbone);
    let sizes = Sizes { backbone: &backbone, width: dims.n_embd, n_dims: dims.n_dims };
    let tokens = Tokens::of_points(points, injection);
    let chunks = chunks(prompts, tokens, backbone.least_sequences(), threads);
    let largest = chunks.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    let (prefix, suffix) = tokens.of(largest);

    let training = window > 0;
    let room = Bench::len(sizes, prefix, training).max(Bench::len(sizes, suffix, training)) as f64;
    let early = Prefix::len(sizes, prefix, points, training) as f64;
    let own = if training {
        let window = window.min(loops);
        layout.len as f64 + Window::len(sizes, suffix, points, window, window)
    } else {
        let predictions = loops as f64 * (largest * points) as f64;
        (suffix.rows() * dims.n_dims) as f64 + 2.0 * sizes.state_len(suffix) as f64 + predictions
    };
    let kernels = (KERNEL_ROWS.min(prefix.rows().max(suffix.rows())) * KERNEL_WIDTH) as f64;
    let workers = threads.min(chunks.len()) as f64;
    // The blocks' weights are packed for both directions; the gradients are added up, or the predictions laid side by side.
    let results = if training { layout.len as f64 } else { loops as f64 * (prompts * points) as f64 };
    Some(Footprint {
        kept: 4.0 * (workers * (room + early + own + kernels) + layout.len as f64),
        passing: 4.0 * (2.0 * layout.backbone.len() as f64 + results),
    })
}
