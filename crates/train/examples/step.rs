//! Times the fused engine: a training step (gradient and Adam's update), or predictions alone. Prints one line of JSON,
//! as `scripts/torch/bench_peer.py` does of PyTorch, and takes the same options:
//!
//! ```text
//! cargo run -p looped-train --example step                                     the study's step, D 256
//! cargo run -p looped-train --example step -- --width 64 --heads 4
//! cargo run -p looped-train --example step -- --last-n 20 --precision bf16
//! cargo run -p looped-train --example step -- --layers 12 --loops 1 --injector none
//! cargo run -p looped-train --example step -- --eval --loops 50
//! cargo run -p looped-train --example step -- --vocabulary 1000
//! ```
//!
//! With `--serve` a step is run for each line of standard input and answered with a line that holds its seconds, so that
//! `scripts/bench.py` can alternate with PyTorch step by step; the report follows at the end of the input.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use candle_core::Device;
use looped_blocks as _;
use looped_core::{
    Embed, LoopPlan, ModelConfig, ModelDims, Noise, Objective, ParamStore, Predictor, Prompts, Rng,
    TokenLayout,
};
use looped_cpu::{CpuModel, Precision, Step};
use looped_graph::{Flops, Graph};
use looped_ops::{AlignedBuffer, Kernels, PackedMatrix, Scratch, Start};
use looped_train::{Updater, default_optimizer};

struct Options(Vec<String>);

impl Options {
    fn text(&self, name: &str, default: &str) -> String {
        let at = self.0.iter().position(|word| word == name);
        at.map_or(default, |at| self.0[at + 1].as_str()).to_owned()
    }

    fn number(&self, name: &str, default: usize) -> usize {
        self.text(name, &default.to_string()).parse().unwrap()
    }

    fn flag(&self, name: &str) -> bool {
        self.0.iter().any(|word| word == name)
    }

    fn model(&self) -> ModelConfig {
        let block = match self.text("--block", "transformer").as_str() {
            "transformer" => format!(r#"{{"type":"transformer","n_head":{}}}"#, self.number("--heads", 8)),
            block => format!(r#"{{"type":"{block}"}}"#),
        };
        let injector = match self.text("--last-n", "").as_str() {
            "" => format!(r#"{{"type":"{}"}}"#, self.text("--injector", "full")),
            n => format!(r#"{{"type":"last_n","n":{n}}}"#),
        };
        let config = ModelConfig::new(
            ModelDims {
                n_dims: self.number("--dims", 20),
                n_positions: self.number("--positions", 101),
                n_embd: self.number("--width", 256),
                n_layer: self.number("--layers", 1),
            },
            serde_json::from_str(&block).unwrap(),
            serde_json::from_str(&injector).unwrap(),
        );
        match self.number("--vocabulary", 0) {
            0 => config,
            size => ModelConfig { n_dims: 1, embed: Embed::Vocabulary { size }, ..config },
        }
    }

    /// Points, or tokens of the vocabulary.
    fn prompts(&self, n_dims: usize) -> Prompts {
        let (prompts, points) = (self.number("--batch", 64), self.number("--points", 41));
        let mut rng = Rng::stream(0, "bench", 0);
        let size = self.number("--vocabulary", 0);
        if size == 0 {
            let (xs, ys) = (rng.normals(prompts * points * n_dims), rng.normals(prompts * points));
            return Prompts::pairs(xs, ys, [prompts, points, n_dims]);
        }
        let xs = (0..prompts * points).map(|_| (rng.uniform() * size as f64).floor() as f32).collect();
        let ys = rng.normals(prompts * points);
        Prompts {
            xs,
            ys,
            shown: None,
            prompts,
            points,
            n_dims,
            layout: TokenLayout::Ids,
            noise: Noise::default(),
        }
    }
}

/// Seconds of all threads together so far, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// The most memory the process had, where the system tells.
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Floating-point operations of products and attention; a backward pass has two products for each forward one.
/// What a last loop leaves out for its y tokens counts too.
fn flops(graph: &Graph, prompts: &Prompts, forward: usize, backward: usize) -> f64 {
    let (tokens, reads) = (prompts.layout.tokens(prompts.points), prompts.layout.reads(prompts.points));
    let Flops { once, each_loop } = looped_graph::flops(graph, tokens, &reads);
    let (loops, early) = (forward + 2 * backward, if backward == 0 { 1 } else { 3 });
    prompts.prompts as f64 * (loops as f64 * each_loop as f64 + f64::from(early) * once as f64)
}

/// What one thread reaches in a product with all its data in the cache: GFLOP/s, the best of many.
fn peak_gflops(precision: Precision) -> f64 {
    let (rows, inner, out) = (48, 256, 256);
    let kernels = Kernels::best().with_precision(precision);
    let matrix = |len| {
        let mut buffer = AlignedBuffer::zeros(len);
        buffer.fill(0.5);
        buffer
    };
    let (x, mut y) = (matrix(rows * inner), matrix(rows * out));
    let weight = PackedMatrix::linear_forward(kernels, &matrix(out * inner), out, inner);
    let mut scratch = Scratch::new();
    let mut once = || {
        let start = Instant::now();
        (0..20).for_each(|_| kernels.matmul(&x, &weight, Start::Zero, &mut y, &mut scratch));
        start.elapsed().as_secs_f64()
    };
    let best = (0..200).map(|_| once()).fold(f64::INFINITY, f64::min);
    20.0 * 2e-9 * (rows * inner * out) as f64 / best
}

fn main() {
    let options = Options(std::env::args().skip(1).collect());
    let model = options.model();
    let threads = options.number("--threads", std::thread::available_parallelism().unwrap().get());
    let graph = Arc::new(model.graph().unwrap());
    let store = ParamStore::new(&graph, 0, &Device::Cpu).unwrap();
    let fused = CpuModel::new(Arc::clone(&graph), model.dims(), threads).unwrap();
    let precision = match options.text("--precision", "f32").as_str() {
        "bf16" => Precision::Bf16,
        _ => Precision::F32,
    };
    let prompts = options.prompts(model.n_dims);
    let loops = options.number("--loops", 30);
    let window = options.number("--window", 20).min(loops);
    let step = Step {
        plan: LoopPlan { loops, window },
        loss_loops: options.number("--loss-loops", window),
        objective: Objective::SquaredError,
        precision,
    };
    let predict = options.flag("--eval");
    let mut adam = Updater::new(default_optimizer(), &graph, &store, 0.0).unwrap();
    let mut work = || {
        if predict {
            fused.predictor(&store, precision).predict(&prompts, loops).unwrap();
        } else {
            let (_, gradients) = fused.step(&store, &prompts, step).unwrap();
            fused.on_threads(|| adam.update(&store, &gradients, 1e-4)).unwrap();
        }
    };
    (0..options.number("--warmup", 1)).for_each(|_| work());
    let (mut seconds, cpu) = (Vec::new(), cpu_seconds());
    let mut timed = || {
        let start = Instant::now();
        work();
        seconds.push(start.elapsed().as_secs_f64());
        seconds[seconds.len() - 1]
    };
    if options.flag("--serve") {
        println!("{}", serde_json::json!({ "ready": true }));
        for _ in std::io::stdin().lines() {
            println!("{}", serde_json::json!({ "seconds": timed() }));
        }
    } else {
        (0..options.number("--steps", 3)).for_each(|_| _ = timed());
    }
    assert!(!seconds.is_empty(), "no step was asked for");
    let cpu = cpu_seconds().zip(cpu).map(|(end, start)| (end - start) / seconds.len() as f64);
    seconds.sort_by(f64::total_cmp);
    let flops = flops(&graph, &prompts, loops, if predict { 0 } else { window });
    let line = serde_json::json!({
        "engine": "looped fused",
        "median_s": seconds[seconds.len() / 2],
        "min_s": seconds[0],
        "cpu_s": cpu,
        "peak_mb": peak_megabytes(),
        "gflops": flops * 1e-9 / seconds[seconds.len() / 2],
        "gflops_of_a_busy_thread": cpu.map(|cpu| flops * 1e-9 / cpu),
        "product_gflops_of_a_thread": peak_gflops(precision),
        "threads": threads,
    });
    println!("{line}");
}
