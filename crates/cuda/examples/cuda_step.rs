//! Times a training step of the CUDA engine, as a whole and by operation.
//!
//! ```text
//! cargo run -p looped-cuda --example cuda_step                      the study's step at D 256: f32, tf32 and bf16
//! cargo run -p looped-cuda --example cuda_step -- --math bf16 --width 64 --heads 4 --last-n 20 --block ssm
//! cargo run -p looped-cuda --example cuda_step -- --roof 2.7,778    also how near each operation is to the card's rates: TB/s, TFLOP/s
//! cargo run -p looped-cuda --example cuda_step -- --plan            what would run, without a GPU
//! cargo run -p looped-cuda --example cuda_step -- --text --math f32 --block lstm      the kernels written for it
//! ```
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench: what goes wrong stops it")]

use std::sync::Arc;
use std::time::Instant;

use looped_blocks as _;
use looped_core::{AdamUpdate, Flat, LoopPlan, ModelConfig, ModelDims, Objective, ParamStore, Prompts, Rng};
use looped_cuda::{CudaModel, Math, Step, plan, text};

struct Options(Vec<String>);

impl Options {
    fn text(&self, name: &str, default: &str) -> String {
        let at = self.0.iter().position(|word| word == name);
        at.map_or(default, |at| self.0[at + 1].as_str()).to_owned()
    }

    fn number(&self, name: &str, default: usize) -> usize {
        self.text(name, &default.to_string()).parse().unwrap()
    }
}

/// Times training steps as a trainer takes them: parameters and moments stay on the GPU.
fn held(model: &CudaModel, store: &ParamStore, prompts: &Prompts, step: Step, on_gpu: f32) {
    let zeros = Flat::zeros(Arc::clone(store.layout()));
    model.hold(store, [&zeros, &zeros], 0).unwrap();
    let adam = AdamUpdate {
        learning_rate: 1e-6,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
        largest_norm: 0.0,
    };
    let mut times: Vec<[f64; 2]> = (0..105)
        .map(|_| {
            let (begun, mut asked) = (Instant::now(), 0.0);
            let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
            model.update(prompts, step, adam, || asked = ms(begun)).unwrap();
            [ms(begun), asked]
        })
        .skip(5)
        .collect();
    model.release();
    let [whole, asked] = [0, 1].map(|which| {
        times.sort_by(|a, b| a[which].total_cmp(&b[which]));
        times[50][which]
    });
    println!(
        "{whole:.3} ms a step, parameters held on the GPU (median of 100). The host asks for it within {asked:.3} ms, {:.1} % of the \
         step; {:.3} ms are not on the GPU",
        1e2 * asked / whole,
        whole - f64::from(on_gpu)
    );
}

fn main() {
    let options = Options(std::env::args().skip(1).collect());
    let block = match options.text("--block", "transformer").as_str() {
        "transformer" => format!(r#"{{"type":"transformer","n_head":{}}}"#, options.number("--heads", 8)),
        block => format!(r#"{{"type":"{block}"}}"#),
    };
    let injector = match options.text("--last-n", "").as_str() {
        "" => r#"{"type":"full"}"#.to_owned(),
        n => format!(r#"{{"type":"last_n","n":{n}}}"#),
    };
    let (n_dims, points) = (options.number("--dims", 20), options.number("--points", 41));
    let config = ModelConfig::new(
        ModelDims {
            n_dims,
            n_positions: points.max(101),
            n_embd: options.number("--width", 256),
            n_layer: options.number("--layers", 1),
        },
        serde_json::from_str(&block).unwrap(),
        serde_json::from_str(&injector).unwrap(),
    );
    let graph = config.graph().unwrap();
    let store = ParamStore::new(&graph, 1, &looped_core::Device::Cpu).unwrap();
    let (mut rng, prompts) = (Rng::stream(1, "prompts", 0), options.number("--batch", 64));
    let (xs, ys) = (rng.normals(prompts * points * n_dims), rng.normals(prompts * points));
    let prompts = Prompts::pairs(xs, ys, [prompts, points, n_dims]);
    let (loops, window) = (options.number("--loops", 30), options.number("--window", 20));
    let plan_of = LoopPlan { loops, window };
    let only = options.text("--math", "");
    for (name, math) in [("f32", Math::F32), ("tf32", Math::Tf32), ("bf16", Math::Bf16)] {
        if !only.is_empty() && only != name {
            continue;
        }
        let step = Step { plan: plan_of, loss_loops: window, objective: Objective::SquaredError, math };
        if options.0.iter().any(|word| word == "--plan") {
            let (counts, bytes) = plan(&graph, &prompts, step).unwrap();
            println!("{name}: {} operations, {} MB", counts.values().sum::<usize>(), bytes >> 20);
            counts.iter().for_each(|(name, count)| println!("  {count:4} {name}"));
            continue;
        }
        if options.0.iter().any(|word| word == "--text") {
            print!("{}", text(&graph, &prompts, math).unwrap());
            continue;
        }
        let begun = Instant::now();
        let model = CudaModel::new(Arc::new(graph.clone()), config.dims(), 0).unwrap();
        let (loss, _) = model.step(&store, &prompts, step).unwrap();
        println!(
            "\n{name}: {}; first step after {:.2} s, loss {loss}",
            model.versions(),
            begun.elapsed().as_secs_f64()
        );
        model.step(&store, &prompts, step).unwrap();
        let mut times: Vec<f64> = (0..50)
            .map(|_| {
                let begun = Instant::now();
                model.step(&store, &prompts, step).unwrap();
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{:.3} ms a step, parameters and gradients copied (median of 50; {:.3} to {:.3})",
            times[25], times[0], times[49]
        );
        let profile = model.profile(&store, &prompts, step).unwrap();
        println!("{profile}");
        if model.can_be_held() {
            held(&model, &store, &prompts, step, profile.step[1]);
        }
        let roof = options.text("--roof", "");
        if let Some((terabytes, teraflops)) = roof.split_once(',') {
            let roof = [terabytes, teraflops].map(|rate| rate.parse().unwrap());
            println!("at {} TB/s and {} TFLOP/s each would take so much of its time:", roof[0], roof[1]);
            for of in &profile.operations {
                println!("{:9.0} %  {}", 1e2 * of.of_roof(roof), of.name);
            }
        }
    }
}
