//! The whole model as a graph: what [`LoopedModel`](crate::LoopedModel) computes, recorded once for every engine.

mod concat;
mod inject;
mod learned_gate;

use std::ops::Range;

use looped_graph::{At, Block, Graph, Init, Linear, Norm, Params, Trace};

pub use concat::Concat;
pub(crate) use inject::{Meet, PassOn};
pub use learned_gate::LearnedGate;

use crate::{ModelConfig, Result};

impl ModelConfig {
    /// The model as a graph; `None` if its block or its injector is written for candle alone.
    ///
    /// Its input are a prompt's tokens x_1, y_1, x_2, ..., each as wide as x, and it reads a prediction at each. Parameters have the names,
    /// shapes and first values that [`LoopedModel`](crate::LoopedModel) gives them.
    ///
    /// # Errors
    /// If a part records something that can't be.
    pub fn graph(&self) -> Result<Option<Graph>> {
        let (dims, width) = (self.dims(), self.n_embd);
        let trace = Trace::new();
        let params = trace.params();
        let read_in = Linear::uniform(dims.n_dims, width, &mut params.scope("_read_in")).exact();
        let read_out = Linear::uniform(width, 1, &mut params.scope("_read_out")).exact();
        let injector = self.injector.record(&dims, &mut params.scope("_injector"));
        let backbone = params.scope("_backbone.transformer");
        let rows = 2 * dims.n_positions + 1;
        let positions = backbone.scope("wpe").get("weight", [rows, width], Init::Normal { std: 0.02 });
        let name = |i| format!("h.{i}");
        let block = |i| trace.scope(name(i), || self.block.record(&dims, &mut backbone.scope(name(i))));
        let blocks = (0..dims.n_layer).map(block).collect::<Option<Vec<_>>>();
        let norm = Norm::layer(width, &mut backbone.scope("ln_f"));
        let (Some(injector), Some(blocks)) = (injector, blocks) else { return Ok(None) };

        let input = trace.scope("read_in", || trace.input(dims.n_dims).linear(&read_in));
        let at = At::new(input);
        let first = trace.scope("injector", || injector.initial(at));
        let state = trace.carry(first);
        let mut x = trace.scope("injector", || injector.placed(state.value(), at, positions));
        for (i, block) in blocks.iter().enumerate() {
            x = trace.scope(name(i), || block.forward(x, at));
        }
        let next = trace.scope("ln_f", || x.norm(&norm));
        trace.next(state, next);
        trace.read(trace.scope("read_out", || next.linear(&read_out)));
        Ok(Some(trace.finish()?))
    }
}

/// Floating-point operations of a block's recorded form over the given tokens of one sequence, the earlier ones being known; none without
/// such a form, or if it can't be recorded.
pub(crate) fn flops(
    record: impl FnOnce(&mut Params<'_>) -> Option<Box<dyn Block>>,
    width: usize,
    tokens: Range<usize>,
) -> u64 {
    let trace = Trace::new();
    let Some(block) = record(&mut trace.params()) else { return 0 };
    let input = trace.input(width);
    block.forward(input, At::new(input));
    let Ok(graph) = trace.finish() else { return 0 };
    looped_graph::flops_of_tokens(&graph, tokens)
}
