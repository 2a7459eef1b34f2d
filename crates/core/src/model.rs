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

use looped_graph::{At, Block, Graph, Init, Inject, Linear, Norm, Param, Params, Trace, Value};

use crate::{BlockConfig, Embed, FirstState, Head, LoopNorm, ModelConfig, Positions, Result};

impl ModelConfig {
    /// The model as a graph.
    ///
    /// Its input are a prompt's tokens as rows ([`Prompts::write_row`](crate::Prompts::write_row)), and it reads a prediction at each. It allocates no
    /// parameter: the graph says their names, shapes and first values.
    ///
    /// # Errors
    /// If a part records something that can't be.
    pub fn graph(&self) -> Result<Graph> {
        let trace = Trace::new();
        Parts::new(self, &trace).record(&trace);
        Ok(trace.finish()?)
    }
}

/// The parts of a model, with their parameters.
struct Parts<'m> {
    config: &'m ModelConfig,
    read_in: ReadIn,
    read_out: Linear,
    exit_gate: Option<Linear>,
    injector: Box<dyn Inject>,
    /// The first state, where it is learnt.
    first: Option<Param>,
    /// (tokens, width), unless there are no positions.
    positions: Option<Param>,
    looped: Blocks,
    loop_norm: Option<Norm>,
    prelude: Blocks,
    coda: Blocks,
}

impl<'m> Parts<'m> {
    fn new(config: &'m ModelConfig, trace: &Trace) -> Self {
        let (dims, width, params) = (config.dims(), config.n_embd, trace.params());
        let backbone = params.scope("_backbone.transformer");
        let own = |i| {
            let name = format!("h.{i}");
            (&*config.block, backbone.scope(&name), name)
        };
        let listed = |key: &str, blocks: &'m [Box<dyn BlockConfig>]| {
            let of = blocks.iter().enumerate().map(|(j, block)| {
                let name = format!("{key}.{j}");
                (&**block, params.scope(format_args!("_{name}")), name)
            });
            Blocks::new(config, trace, of)
        };
        // In the order in which they are asked for, parameters lie in an engine's memory.
        Self {
            config,
            read_in: config.read_in(&mut params.scope("_read_in")),
            read_out: Linear::uniform(width, config.outputs(), &mut params.scope("_read_out")).exact(),
            exit_gate: config.gate(&mut params.scope("_exit_gate")),
            injector: config.injector.build(&dims, &mut params.scope("_injector")),
            first: config.learned_state(&mut trace.params()),
            positions: config.table(&mut backbone.scope("wpe")),
            looped: Blocks::new(config, trace, (0..dims.n_layer).map(own)),
            loop_norm: config.norm(&mut backbone.scope("ln_f")),
            prelude: listed("prelude", &config.prelude),
            coda: listed("coda", &config.coda),
        }
    }

    fn record(&self, trace: &Trace) {
        let (at, noise) = self.embed(trace);
        let state = trace.carry(trace.scope("injector", || self.first_state(at, noise)));
        let next = self.relax(state.value(), self.loop_once(trace, state.value(), at), at);
        trace.next(state, next);
        let seen = self.coda.through(trace, next, at);
        let read = trace.scope("read_out", || seen.linear(&self.read_out));
        trace.read(match &self.exit_gate {
            // Its number stands after those of the prediction.
            Some(gate) => trace.scope("exit_gate", || Value::concat(&[read, seen.linear(gate)])),
            None => read,
        });
    }

    /// The embedded prompt, and beside it a row of noise for each token, where the first state is made of it.
    fn embed<'t>(&self, trace: &'t Trace) -> (At<'t>, Option<Value<'t>>) {
        let width = self.config.n_dims;
        let (tokens, noise) = trace.scope("read_in", || match self.config.first_state {
            FirstState::Noise { .. } => {
                let [tokens, noise] = trace.input_beside_noise(width, self.config.n_embd);
                (tokens, Some(noise))
            }
            _ => (trace.input(width), None),
        });
        let embedded = trace.scope("read_in", || match self.read_in {
            ReadIn::Linear(layer) => tokens.linear(&layer),
            ReadIn::Table(table) => tokens.lookup(table),
        });
        let placed = match self.positions {
            Some(table) if self.config.positions == Positions::Once => embedded.positions(table),
            _ => embedded,
        };
        (At::new(self.prelude.through(trace, placed, At::new(placed))), noise)
    }

    /// The state before the first loop.
    fn first_state<'t>(&self, at: At<'t>, noise: Option<Value<'t>>) -> Value<'t> {
        match (self.config.first_state, noise, self.first) {
            (FirstState::Zero, ..) => at.input.like(0.0),
            (FirstState::Embedded, ..) => at.input,
            (FirstState::Noise { std }, Some(noise), _) => noise * std as f32,
            (FirstState::Learned, _, Some(row)) => at.input.like(0.0) + at.param(row),
            _ => self.injector.initial(at),
        }
    }

    /// What a loop makes of the state.
    fn loop_once<'t>(&self, trace: &'t Trace, state: Value<'t>, at: At<'t>) -> Value<'t> {
        let injected = trace.scope("injector", || match self.positions {
            Some(table) if self.config.positions == Positions::EachLoop => {
                self.injector.placed(state, at, table)
            }
            _ => self.injector.inject(state, at),
        });
        let x = self.looped.through(trace, injected, at);
        self.loop_norm.map_or(x, |norm| trace.scope("ln_f", || x.norm(&norm)))
    }

    /// The part of the way from a state to the next that a loop goes. A token that keeps no state goes all of it.
    fn relax<'t>(&self, state: Value<'t>, next: Value<'t>, at: At<'t>) -> Value<'t> {
        let rest = 1.0 - self.config.relaxation;
        if rest == 0.0 {
            return next;
        }
        at.scope("relaxation", || next + self.injector.kept(state - next) * rest as f32)
    }
}

/// How tokens become rows.
#[derive(Clone, Copy)]
enum ReadIn {
    Linear(Linear),
    /// (width, entries)
    Table(Param),
}

/// Blocks, one after another, with their names in tables and messages.
struct Blocks(Vec<(String, Box<dyn Block>)>);

impl Blocks {
    fn new<'m, 't>(
        config: &ModelConfig,
        trace: &'t Trace,
        blocks: impl Iterator<Item = (&'m (dyn BlockConfig + 'static), Params<'t>, String)>,
    ) -> Self {
        // Within a scope, so that a mistake in a part's code is told with the part.
        let built = blocks.map(|(block, mut params, name)| {
            let built = trace.scope(&name, || block.build(&config.dims(), &mut params));
            (name, built)
        });
        Self(built.collect())
    }

    fn through<'t>(&self, trace: &'t Trace, x: Value<'t>, at: At<'t>) -> Value<'t> {
        self.0.iter().fold(x, |x, (name, block)| trace.scope(name, || block.forward(x, at)))
    }
}

/// The parameters of the model's own parts.
impl ModelConfig {
    fn read_in(&self, params: &mut Params<'_>) -> ReadIn {
        match self.embed {
            Embed::Linear => ReadIn::Linear(Linear::uniform(self.n_dims, self.n_embd, params).exact()),
            Embed::Vocabulary { size } => {
                ReadIn::Table(params.get("weight", [self.n_embd, size], Init::Normal { std: 1.0 }))
            }
        }
    }

    const fn outputs(&self) -> usize {
        match self.head {
            Head::Scalar => 1,
            Head::Classes { count } => count,
        }
    }

    fn gate(&self, params: &mut Params<'_>) -> Option<Linear> {
        let bias = self.exit_gate.map(|gate| Init::Constant { value: gate.bias });
        bias.map(|bias| Linear::new(self.n_embd, 1, Init::Zeros, bias, params).exact())
    }

    fn learned_state(&self, params: &mut Params<'_>) -> Option<Param> {
        let learned = self.first_state == FirstState::Learned;
        learned.then(|| params.get("_first_state", [self.n_embd], Init::Normal { std: 0.02 }))
    }

    fn table(&self, params: &mut Params<'_>) -> Option<Param> {
        let rows = self.layout().tokens(self.n_positions) + 1;
        let table = || params.get("weight", [rows, self.n_embd], Init::Normal { std: 0.02 });
        (self.positions != Positions::None).then(table)
    }

    fn norm(&self, params: &mut Params<'_>) -> Option<Norm> {
        match self.loop_norm {
            LoopNorm::Layer => Some(Norm::layer(self.n_embd, params)),
            LoopNorm::Rms => Some(Norm::rms(self.n_embd, params)),
            LoopNorm::None => None,
        }
    }
}
