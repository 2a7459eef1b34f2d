//! A training step and predictions: `cargo bench -p looped-cpu`. Throughput is in floating-point operations, so
//! "Gelem/s" is GFLOP/s; beside `cargo bench -p looped-ops --bench products` it says how near to its products a step is.
#![allow(missing_docs)] // criterion's macros
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use looped_blocks as _;
use looped_core::{LoopPlan, ModelConfig, ModelDims, Objective, ParamStore, Predictor, Prompts, Rng};
use looped_cpu::{CpuModel, Precision, Step};
use looped_graph::{Flops, Graph};

const PROMPTS: usize = 64;
const POINTS: usize = 41;
const PLAN: LoopPlan = LoopPlan { loops: 30, window: 20 };

fn model(n_embd: usize, block: &str, injector: &str) -> ModelConfig {
    ModelConfig::new(
        ModelDims { n_dims: 20, n_positions: 101, n_embd, n_layer: 1 },
        serde_json::from_str(block).unwrap(),
        serde_json::from_str(injector).unwrap(),
    )
}

/// Operations of all prompts in so many passes over what is looped over, and over what never changes.
fn flops(graph: &Graph, passes: usize, passes_over_the_rest: usize) -> u64 {
    let reads: Vec<usize> = (0..POINTS).map(|point| 2 * point).collect();
    let Flops { once, each_loop } = looped_graph::flops(graph, 2 * POINTS, &reads);
    PROMPTS as u64 * (passes as u64 * each_loop + passes_over_the_rest as u64 * once)
}

fn step(criterion: &mut Criterion) {
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut rng = Rng::stream(0, "bench", 0);
    let (xs, ys) = (rng.normals(PROMPTS * POINTS * 20), rng.normals(PROMPTS * POINTS));
    let prompts = Prompts::pairs(xs, ys, [PROMPTS, POINTS, 20]);
    let (full, last) = (r#"{"type":"full"}"#, r#"{"type":"last_n","n":20}"#);
    for (name, n_embd, block, injector) in [
        ("D 256", 256, r#"{"type":"transformer","n_head":8}"#, full),
        ("D 64", 64, r#"{"type":"transformer","n_head":4}"#, full),
        ("D 256, last 20", 256, r#"{"type":"transformer","n_head":8}"#, last),
        ("D 256, LSTM", 256, r#"{"type":"lstm"}"#, full),
        ("D 256, state space", 256, r#"{"type":"ssm"}"#, full),
    ] {
        let config = model(n_embd, block, injector);
        let graph = Arc::new(config.graph().unwrap());
        let store = ParamStore::new(&graph, 0, &Device::Cpu).unwrap();
        let model = CpuModel::new(Arc::clone(&graph), config.dims(), threads).unwrap();
        let mut group = criterion.benchmark_group(name);
        group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(1));
        for precision in [Precision::F32, Precision::Bf16] {
            group.throughput(Throughput::Elements(flops(&graph, PLAN.loops + 2 * PLAN.window, 3)));
            let step = Step { plan: PLAN, loss_loops: 20, objective: Objective::SquaredError, precision };
            group.bench_function(format!("step, {precision:?}"), |bencher| {
                bencher.iter(|| model.step(&store, &prompts, step).unwrap());
            });
            group.throughput(Throughput::Elements(flops(&graph, PLAN.loops, 1)));
            let predictor = model.predictor(&store, precision);
            group.bench_function(format!("predictions, {precision:?}"), |bencher| {
                bencher.iter(|| predictor.predict(&prompts, PLAN.loops).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = step }
criterion_main!(benches);
