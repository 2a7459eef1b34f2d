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

use looped_graph::{At, Block, Graph, Init, Linear, Norm, Params, Trace};

use crate::{BlockConfig, Embed, Head, LoopNorm, ModelConfig, Positions, Result};

/// A block with its name in tables and messages.
type Named = (String, Box<dyn Block>);

impl ModelConfig {
    /// The model as a graph.
    ///
    /// Its input are a prompt's tokens as rows ([`Prompts::tokens`](crate::Prompts::tokens)), and it reads a prediction at each. It allocates no parameter:
    /// the graph says their names, shapes and first values.
    ///
    /// # Errors
    /// If a part records something that can't be.
    pub fn graph(&self) -> Result<Graph> {
        let (dims, width) = (self.dims(), self.n_embd);
        let trace = Trace::new();
        let params = trace.params();
        let read_in = &mut params.scope("_read_in");
        let (read_in, token_width) = match self.embed {
            Embed::Linear => (Linear::uniform(dims.n_dims, width, read_in).exact(), dims.n_dims),
            // A token is 1 at its number, so that the layer gives a column of its weight.
            Embed::Vocabulary { size } => (Linear::without_bias(size, width, 1.0, read_in).exact(), size),
        };
        let outputs = match self.head {
            Head::Scalar => 1,
            Head::Classes { count } => count,
        };
        let read_out = Linear::uniform(width, outputs, &mut params.scope("_read_out")).exact();
        let injector = self.injector.build(&dims, &mut params.scope("_injector"));
        let backbone = params.scope("_backbone.transformer");
        let rows = self.layout().tokens(dims.n_positions) + 1;
        let table = || backbone.scope("wpe").get("weight", [rows, width], Init::Normal { std: 0.02 });
        let positions = (self.positions != Positions::None).then(table);
        let name = |i| format!("h.{i}");
        // Within a scope, so that a mistake in a part's code is told with the part.
        let build = |block: &dyn BlockConfig, name: String, params: &mut Params<'_>| -> Named {
            let built = trace.scope(&name, || block.build(&dims, params));
            (name, built)
        };
        let looped = (0..dims.n_layer).map(|i| build(&*self.block, name(i), &mut backbone.scope(name(i))));
        let looped: Vec<Named> = looped.collect();
        let norm = &mut backbone.scope("ln_f");
        let norm = match self.loop_norm {
            LoopNorm::Layer => Some(Norm::layer(width, norm)),
            LoopNorm::Rms => Some(Norm::rms(width, norm)),
            LoopNorm::None => None,
        };
        let list = |key: &str, blocks: &[Box<dyn BlockConfig>]| -> Vec<Named> {
            let of = |j: usize| {
                let name = format!("{key}.{j}");
                let params = &mut params.scope(format_args!("_{name}"));
                build(&*blocks[j], name, params)
            };
            (0..blocks.len()).map(of).collect()
        };
        let (prelude, coda) = (list("prelude", &self.prelude), list("coda", &self.coda));
        let through = |blocks: &[Named], x, at| {
            blocks.iter().fold(x, |x, (name, block)| trace.scope(name, || block.forward(x, at)))
        };

        let embedded = trace.scope("read_in", || trace.input(token_width).linear(&read_in));
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
