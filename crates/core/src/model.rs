//! The whole model, recorded once for every engine: read-in, loop, read-out (Yang et al., arXiv 2311.12424, section 3).
//!
//! A prompt of n points becomes 2n tokens x_1, y_1, x_2, y_2, ... and is embedded once: E. Then, from Z_0,
//!
//! ```text
//! Z_{l+1} = LayerNorm(blocks(inject(Z_l, E) + positions))        prediction_l = read_out(Z_{l+1} at the x tokens)
//! ```
//!
//! so positions and the final norm are applied in every loop, unless [`ModelConfig::positions`] and [`ModelConfig::loop_norm`] say
//! otherwise. A prelude stands between the embedding and E, a coda between Z and the read-out. Blocks are causal: the prediction at x_i has seen the
//! points before it, and one prompt trains every context length.

use looped_graph::{At, Block, Graph, Init, Linear, Norm, Trace};

use crate::{BlockConfig, LoopNorm, ModelConfig, Positions, Result};

/// A block with its name in tables and messages.
type Named = (String, Box<dyn Block>);

impl ModelConfig {
    /// The model as a graph.
    ///
    /// Its input are a prompt's tokens x_1, y_1, x_2, ..., each as wide as x, and it reads a prediction at each. It allocates no parameter:
    /// the graph says their names, shapes and first values.
    ///
    /// # Errors
    /// If a part records something that can't be.
    pub fn graph(&self) -> Result<Graph> {
        let (dims, width) = (self.dims(), self.n_embd);
        let trace = Trace::new();
        let params = trace.params();
        let read_in = Linear::uniform(dims.n_dims, width, &mut params.scope("_read_in")).exact();
        let read_out = Linear::uniform(width, 1, &mut params.scope("_read_out")).exact();
        let injector = self.injector.build(&dims, &mut params.scope("_injector"));
        let backbone = params.scope("_backbone.transformer");
        let rows = 2 * dims.n_positions + 1;
        let table = || backbone.scope("wpe").get("weight", [rows, width], Init::Normal { std: 0.02 });
        let positions = (self.positions != Positions::None).then(table);
        let name = |i| format!("h.{i}");
        let looped =
            (0..dims.n_layer).map(|i| (name(i), self.block.build(&dims, &mut backbone.scope(name(i)))));
        let looped: Vec<_> = looped.collect();
        let norm = &mut backbone.scope("ln_f");
        let norm = match self.loop_norm {
            LoopNorm::Layer => Some(Norm::layer(width, norm)),
            LoopNorm::Rms => Some(Norm::rms(width, norm)),
            LoopNorm::None => None,
        };
        let list = |key: &str, blocks: &[Box<dyn BlockConfig>]| -> Vec<Named> {
            let mut named = Vec::new();
            for (j, block) in blocks.iter().enumerate() {
                let name = format!("{key}.{j}");
                let block = block.build(&dims, &mut params.scope(format_args!("_{name}")));
                named.push((name, block));
            }
            named
        };
        let (prelude, coda) = (list("prelude", &self.prelude), list("coda", &self.coda));
        let through = |blocks: &[Named], x, at| {
            blocks.iter().fold(x, |x, (name, block)| trace.scope(name, || block.forward(x, at)))
        };

        let embedded = trace.scope("read_in", || trace.input(dims.n_dims).linear(&read_in));
        let placed = match positions {
            Some(table) if self.positions == Positions::Once => embedded.positions(table),
            _ => embedded,
        };
        let at = At::new(through(&prelude, placed, At::new(placed)));
        let state = trace.carry(trace.scope("injector", || injector.initial(at)));
        let injected = trace.scope("injector", || match positions {
            Some(table) if self.positions == Positions::EachLoop => injector.placed(state.value(), at, table),
            _ => injector.inject(state.value(), at),
        });
        let x = through(&looped, injected, at);
        let next = norm.map_or(x, |norm| trace.scope("ln_f", || x.norm(&norm)));
        trace.next(state, next);
        let seen = through(&coda, next, at);
        trace.read(trace.scope("read_out", || seen.linear(&read_out)));
        Ok(trace.finish()?)
    }
}
