//! The whole model, recorded once for every engine: read-in, loop, read-out (Yang et al., arXiv 2311.12424, section 3).
//!
//! A prompt of n points becomes 2n tokens x_1, y_1, x_2, y_2, ... and is embedded once: E. Then, from Z_0,
//!
//! ```text
//! Z_{l+1} = LayerNorm(blocks(inject(Z_l, E) + positions))        prediction_l = read_out(Z_{l+1} at the x tokens)
//! ```
//!
//! so positions and the final norm are applied in every loop. Blocks are causal: the prediction at x_i has seen the
//! points before it, and one prompt trains every context length.

use looped_graph::{At, Graph, Init, Linear, Norm, Trace};

use crate::{ModelConfig, Result};

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
        let positions = backbone.scope("wpe").get("weight", [rows, width], Init::Normal { std: 0.02 });
        let name = |i| format!("h.{i}");
        let build = |i| trace.scope(name(i), || self.block.build(&dims, &mut backbone.scope(name(i))));
        let blocks: Vec<_> = (0..dims.n_layer).map(build).collect();
        let norm = Norm::layer(width, &mut backbone.scope("ln_f"));

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
        Ok(trace.finish()?)
    }
}
