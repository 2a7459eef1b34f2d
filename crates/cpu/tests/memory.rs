//! Memory doesn't grow with the loops before the window, nor with the batch.
//!
//! One test, in a process of its own: it measures what the whole process holds.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::sync::Arc;

use candle_core::Device;
use looped_blocks as _;
use looped_core::{
    LoopPlan, ModelConfig, ModelDims, Objective, ParamStore, Predictions, Predictor, Prompts, Rng,
    TokenLayout,
};
use looped_cpu::{CpuModel, Footprint, Precision, Step, Work, footprint};
use looped_graph::Graph;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const POINTS: usize = 21;

struct Sizes {
    prompts: usize,
    loops: usize,
    window: usize,
}

const DIMS: ModelDims = ModelDims { n_dims: 4, n_positions: POINTS, n_embd: 32, n_layer: 2 };

fn graph() -> Graph {
    let config = ModelConfig::new(
        DIMS,
        serde_json::from_str(r#"{"type":"transformer","n_head":2}"#).unwrap(),
        serde_json::from_str(r#"{"type":"last_n","n":30}"#).unwrap(),
    );
    config.graph().unwrap()
}

fn prompts(count: usize) -> Prompts {
    let mut rng = Rng::stream(0, "memory", 0);
    let (xs, ys) = (rng.normals(count * POINTS * 4), rng.normals(count * POINTS));
    Prompts::pairs(xs, ys, [count, POINTS, 4])
}

/// Bytes that `work` on a new engine takes at most, beyond what there was before.
fn peak(threads: usize, work: impl FnOnce(&CpuModel)) -> f64 {
    let model = CpuModel::new(Arc::new(graph()), DIMS, threads).unwrap();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work(&model);
    (MEMORY.peak_usage() - before) as f64
}

#[test]
fn is_flat_in_loops_and_batch() {
    let store = ParamStore::new(&graph(), 0, &Device::Cpu).unwrap();
    let step = |Sizes { prompts: count, loops, window }: Sizes| {
        let prompts = prompts(count);
        let plan = LoopPlan { loops, window };
        let (loss_loops, objective, precision) = (window, Objective::SquaredError, Precision::F32);
        let step = Step { plan, loss_loops, objective, precision };
        peak(2, |model| drop(model.step(&store, &prompts, step).unwrap()))
    };
    // 24 prompts are 8 chunks of 3, the largest size, 4 for each thread.
    let base = step(Sizes { prompts: 24, loops: 10, window: 5 });
    let loops = step(Sizes { prompts: 24, loops: 160, window: 5 });
    assert!(loops <= 1.01 * base, "16 times the loops take {loops} bytes, not {base}");
    let batch = step(Sizes { prompts: 1536, loops: 10, window: 5 });
    assert!(batch <= 1.01 * base, "64 times the batch takes {batch} bytes, not {base}");
    let window = step(Sizes { prompts: 24, loops: 10, window: 10 });
    // What was added up before is what is taken: the rest is the kernels' scratch space.
    let foretold = |work: Work| {
        let Footprint { kept, passing } = footprint(&graph(), work).unwrap();
        kept + passing
    };
    for (taken, window) in [(base, 5), (window, 10)] {
        let told = foretold(Work {
            prompts: 24,
            layout: TokenLayout::Pairs,
            points: POINTS,
            loops: 10,
            window,
            threads: 2,
        });
        assert!((0.9..1.1).contains(&(told / taken)), "{told} bytes were foretold, and {taken} are taken");
    }
    assert!(window > 1.5 * base, "the tape isn't in what is measured: {window} bytes, {base}");

    // Predictions are what grows; a chunk's own are held once more. On one thread: on two, what both take for a moment
    // while their buffers grow falls together or doesn't.
    let ask = |count: usize, loops: usize| {
        let prompts = prompts(count);
        let held = |predictions: &Predictions| (4 * predictions.values.len()) as f64;
        let mut result = 0.0;
        let peak = peak(1, |model| {
            result = held(&model.predictor(&store, Precision::F32).predict(&prompts, loops).unwrap())
        });
        peak - result
    };
    let base = ask(24, 10);
    let told = foretold(Work {
        prompts: 24,
        layout: TokenLayout::Pairs,
        points: POINTS,
        loops: 10,
        window: 0,
        threads: 1,
    });
    let told = told - (4 * 10 * 24 * POINTS) as f64;
    assert!((0.8..1.2).contains(&(told / base)), "{told} bytes were foretold, and {base} are taken");
    let batch = ask(1536, 10);
    assert!(
        batch <= 1.05 * base,
        "64 times the batch takes {batch} bytes beside its predictions, not {base}"
    );
}
