//! Time of a GRU that a test's author wrote in eight lines beside the built-in LSTM's, each divided by its floating-point operations; and beside
//! its own in candle, on the reference engine.
//!
//! ```text
//! cargo build -p cli -p looped-cpu --example gru && target/debug/examples/gru [ROUNDS]
//! ```
#![allow(clippy::unwrap_used, reason = "a failed measurement is a panic")]

use std::sync::Arc;
use std::time::Instant;

use looped_blocks as _;
use looped_core::graph::{At, Linear, Value};
use looped_core::{
    Block, BlockConfig, Device, LoopPlan, ModelConfig, ModelDims, Objective, ParamStore, Params, Prompts,
    Rng, typetag,
};
use looped_cpu::{CpuModel, Precision, Step};
use looped_reference::ReferenceModel;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Gru {}

#[typetag::serde(name = "timed_gru")]
impl BlockConfig for Gru {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let width = dims.n_embd;
        let layer = |name: &str| Linear::uniform(width, 3 * width, &mut params.scope(name));
        Box::new(GruBlock { input: layer("ih"), recurrent: layer("hh") })
    }
}

struct GruBlock {
    input: Linear,
    recurrent: Linear,
}

impl Block for GruBlock {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        let [hidden] = x.recur([x.width()], |x, [h]| {
            let [xr, xu, xn] = x.linear(&self.input).split();
            let [hr, hu, hn] = h.linear(&self.recurrent).split();
            let (reset, update) = ((xr + hr).sigmoid(), (xu + hu).sigmoid());
            let new = (xn + reset * hn).tanh();
            [new + update * (h - new)]
        });
        hidden
    }
}

const PLAN: LoopPlan = LoopPlan { loops: 12, window: 8 };

/// A model with its parameters, to take steps of.
struct Timed {
    model: CpuModel,
    /// The same on candle.
    reference: ReferenceModel,
    store: ParamStore,
    prompts: Prompts,
    /// Weights of its products, for each D^2.
    weights: f64,
}

impl Timed {
    fn new(block: &str, width: usize, weights: f64) -> Self {
        let (n_dims, points, prompts) = (10, 41, 16);
        let config = ModelConfig::new(
            ModelDims { n_dims, n_positions: points, n_embd: width, n_layer: 1 },
            serde_json::from_str(block).unwrap(),
            serde_json::from_str(r#"{"type":"full"}"#).unwrap(),
        );
        let graph = Arc::new(config.graph().unwrap());
        let reference = ReferenceModel::new(Arc::clone(&graph)).unwrap();
        let store = ParamStore::new(&graph, 1, &Device::Cpu).unwrap();
        let threads = std::thread::available_parallelism().unwrap().get();
        let model = CpuModel::new(graph, config.dims(), threads).unwrap();
        let mut rng = Rng::stream(1, "prompts", 0);
        let (xs, ys) = (rng.normals(prompts * points * n_dims), rng.normals(prompts * points));
        Self { model, reference, store, prompts: Prompts::pairs(xs, ys, [prompts, points, n_dims]), weights }
    }

    /// Seconds of a step, divided by its weights.
    fn seconds(&self) -> f64 {
        let plan = PLAN;
        let (objective, precision) = (Objective::SquaredError, Precision::F32);
        let start = Instant::now();
        self.model
            .step(&self.store, &self.prompts, Step { plan, loss_loops: 8, objective, precision })
            .unwrap();
        start.elapsed().as_secs_f64() / self.weights
    }

    /// The same on candle.
    fn seconds_on_candle(&self) -> f64 {
        let (plan, objective) = (PLAN, Objective::SquaredError);
        let start = Instant::now();
        self.reference
            .step(&self.store, &self.prompts, looped_reference::Step { plan, loss_loops: 8, objective })
            .unwrap();
        start.elapsed().as_secs_f64() / self.weights
    }
}

/// The middle of some ratios, the least and the greatest.
fn spread(mut ratios: Vec<f64>) -> String {
    ratios.sort_by(f64::total_cmp);
    let (least, middle, most) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    format!("{middle:.2} ({least:.2} .. {most:.2})")
}

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(9, |rounds| rounds.parse().unwrap());
    for width in [64, 256] {
        let lstm = Timed::new(r#"{"type":"lstm"}"#, width, 8.0);
        let gru = Timed::new(r#"{"type":"timed_gru"}"#, width, 6.0);
        // The first asks for memory.
        let beside_lstm = |_| {
            let of_lstm = lstm.seconds();
            gru.seconds() / of_lstm
        };
        let ratios = (0..=rounds).map(beside_lstm).skip(1).collect();
        println!("D {width}: the GRU takes {} of the LSTM's time a FLOP", spread(ratios));
        let beside_candle = |_| {
            let own = gru.seconds();
            gru.seconds_on_candle() / own
        };
        let ratios = (0..=rounds.min(3)).map(beside_candle).skip(1).collect();
        println!("D {width}: in candle it takes {} times as long", spread(ratios));
    }
}
