//! Times a training step on this engine and on the fused one, in turn, at the settings of `docs/speed.md`.
//!
//! `cargo run -p cli -p looped-cpu --example against_fused -- [ROUNDS [SETTING]]`; with `gru` for the setting, a recorded GRU on this engine beside
//! the fused LSTM, each by its operations.
#![allow(clippy::unwrap_used, reason = "a failed measurement is a panic")]

use std::sync::Arc;
use std::time::Instant;

use looped_blocks as _;
use looped_core::graph::{self, At, Linear, Value};
use looped_core::typetag;
use looped_core::{
    BlockConfig, Device, LoopPlan, LoopedModel, ModelConfig, ModelDims, Objective, ParamStore, Predictor,
    Prompts, Rng,
};
use looped_cpu::{CpuModel, Precision};
use looped_fused::FusedModel;

struct Setting {
    name: &'static str,
    width: usize,
    block: &'static str,
    injector: &'static str,
    precision: Precision,
    layers: usize,
    loops: LoopPlan,
    train: bool,
}

const TRANSFORMER: &str = r#"{"type":"transformer","n_head":8}"#;
const FULL: &str = r#"{"type":"full"}"#;

fn settings() -> Vec<Setting> {
    let loops = LoopPlan { loops: 30, window: 20 };
    let base = |name, width| Setting {
        name,
        width,
        block: TRANSFORMER,
        injector: FULL,
        precision: Precision::F32,
        layers: 1,
        loops,
        train: true,
    };
    vec![
        Setting { loops: LoopPlan { loops: 12, window: 8 }, ..base("D 64", 64) },
        base("D 256", 256),
        Setting { precision: Precision::Bf16, ..base("D 256 bf16", 256) },
        Setting { injector: r#"{"type":"last_n","n":20}"#, ..base("D 256 last 20", 256) },
        Setting { block: r#"{"type":"ssm"}"#, ..base("D 256 ssm", 256) },
        Setting { block: r#"{"type":"lstm"}"#, ..base("D 256 lstm", 256) },
        Setting {
            block: r#"{"type":"lstm"}"#,
            loops: LoopPlan { loops: 12, window: 8 },
            ..base("D 64 lstm", 64)
        },
        Setting {
            layers: 12,
            loops: LoopPlan { loops: 1, window: 1 },
            injector: r#"{"type":"none"}"#,
            ..base("12 blocks", 256)
        },
        Setting { train: false, ..base("D 256 predict", 256) },
    ]
}

/// A GRU as an author of a part writes it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Gru {}

#[typetag::serde(name = "timed_gru")]
impl BlockConfig for Gru {
    fn record(&self, dims: &ModelDims, params: &mut graph::Params<'_>) -> Option<Box<dyn graph::Block>> {
        let width = dims.n_embd;
        let layer = |name: &str| Linear::uniform(width, 3 * width, &mut params.scope(name));
        Some(Box::new(Recorded { input: layer("ih"), recurrent: layer("hh") }))
    }
}

struct Recorded {
    input: Linear,
    recurrent: Linear,
}

impl graph::Block for Recorded {
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

/// Time of a recorded GRU beside the fused LSTM's, each divided by its floating-point operations.
fn gru(rounds: usize, threads: usize) {
    for width in [64, 256] {
        let loops = LoopPlan { loops: 12, window: 8 };
        let (n_dims, points, prompts) = (10, 41, 16);
        let config = |block: &str| {
            Arc::new(ModelConfig {
                n_dims,
                n_positions: points,
                n_embd: width,
                n_layer: 1,
                pretrained_path: None,
                block: serde_json::from_str(block).unwrap(),
                injector: serde_json::from_str(FULL).unwrap(),
            })
        };
        let (lstm, gru) = (config(r#"{"type":"lstm"}"#), config(r#"{"type":"timed_gru"}"#));
        let mut rng = Rng::stream(1, "prompts", 0);
        let (xs, ys) = (rng.normals(prompts * points * n_dims), rng.normals(prompts * points));
        let prompts = Prompts { xs, ys, prompts, points, n_dims };
        let mut of_lstm = ParamStore::new(1, &Device::Cpu);
        LoopedModel::build(Arc::clone(&lstm), &mut of_lstm).unwrap();
        let graph = gru.graph().unwrap().unwrap();
        let mut of_gru = ParamStore::new(1, &Device::Cpu);
        of_gru.of_graph(&graph).unwrap();
        let cpu = CpuModel::new(Arc::new(graph), gru.dims(), threads).unwrap();
        let fused = FusedModel::new(&lstm, threads).unwrap().unwrap();
        let (plan, objective, precision) = (loops, Objective::SquaredError, Precision::F32);
        let mut ratios: Vec<f64> = (0..=rounds)
            .map(|_| {
                let step = looped_fused::Step { plan, loss_loops: plan.window, objective, precision };
                let start = Instant::now();
                fused.step(&of_lstm, &prompts, step).unwrap();
                let first = start.elapsed();
                let step = looped_cpu::Step { plan, loss_loops: plan.window, objective, precision };
                let start = Instant::now();
                cpu.step(&of_gru, &prompts, step).unwrap();
                // A GRU has 6 D^2 weights where an LSTM has 8.
                start.elapsed().as_secs_f64() / 6.0 / (first.as_secs_f64() / 8.0)
            })
            .skip(1)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let middle = ratios[rounds / 2];
        println!(
            "D {width}: a recorded GRU takes {middle:.2} ({:.2} .. {:.2}) of the fused LSTM's time a FLOP",
            ratios[0],
            ratios[rounds - 1]
        );
    }
}

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(5, |rounds| rounds.parse().unwrap());
    let only = std::env::args().nth(2);
    let threads = std::thread::available_parallelism().unwrap().get();
    if only.as_deref() == Some("gru") {
        return gru(rounds, threads);
    }
    println!(
        "| setting | fused, ms | cpu, ms | cpu / fused: median (least .. most) |\n| --- | --- | --- | --- |"
    );
    for setting in settings().iter().filter(|s| only.as_ref().is_none_or(|only| s.name == only)) {
        let (n_dims, points) = (10, 41);
        let config = Arc::new(ModelConfig {
            n_dims,
            n_positions: points,
            n_embd: setting.width,
            n_layer: setting.layers,
            pretrained_path: None,
            block: serde_json::from_str(setting.block).unwrap(),
            injector: serde_json::from_str(setting.injector).unwrap(),
        });
        let mut store = ParamStore::new(1, &Device::Cpu);
        LoopedModel::build(Arc::clone(&config), &mut store).unwrap();
        let mut rng = Rng::stream(1, "prompts", 0);
        let prompts = if setting.width == 64 { 64 } else { 16 };
        let (xs, ys) = (rng.normals(prompts * points * n_dims), rng.normals(prompts * points));
        let prompts = Prompts { xs, ys, prompts, points, n_dims };
        let fused = FusedModel::new(&config, threads).unwrap().unwrap();
        let graph = config.graph().unwrap().unwrap();
        let cpu = CpuModel::new(Arc::new(graph), config.dims(), threads).unwrap();
        let (plan, objective, precision) = (setting.loops, Objective::SquaredError, setting.precision);
        let by_fused = || {
            if setting.train {
                let step = looped_fused::Step { plan, loss_loops: plan.window, objective, precision };
                fused.step(&store, &prompts, step).unwrap();
            } else {
                fused.predictor(&store, precision).predict(&prompts, plan.loops).unwrap();
            }
        };
        let by_cpu = || {
            if setting.train {
                let step = looped_cpu::Step { plan, loss_loops: plan.window, objective, precision };
                cpu.step(&store, &prompts, step).unwrap();
            } else {
                cpu.predictor(&store, precision).predict(&prompts, plan.loops).unwrap();
            }
        };
        let time = |run: &dyn Fn()| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        };
        by_fused();
        by_cpu();
        let (mut of_fused, mut of_cpu, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let (a, b) = if round % 2 == 0 {
                let a = time(&by_fused);
                (a, time(&by_cpu))
            } else {
                let b = time(&by_cpu);
                (time(&by_fused), b)
            };
            of_fused.push(a);
            of_cpu.push(b);
            ratios.push(b / a);
        }
        for all in [&mut of_fused, &mut of_cpu, &mut ratios] {
            all.sort_by(f64::total_cmp);
        }
        let middle = |all: &[f64]| all[all.len() / 2];
        println!(
            "| {} | {:.1} | {:.1} | {:.3} ({:.3} .. {:.3}) |",
            setting.name,
            middle(&of_fused),
            middle(&of_cpu),
            middle(&ratios),
            ratios[0],
            ratios[rounds - 1]
        );
    }
}
