//! One training step of the study's model, put together by hand from the crate's kernels: a bench of the plan for a CUDA
//! engine, not product code. It shows on a real card whether kernels and products are right, and how long a step takes.
//!
//! ```text
//! gpu_step bench [WAY ...]                times the study's step: width 256, 8 heads, 81 tokens, 30 loops, window 20
//! gpu_step check IN.safetensors OUT.safetensors WAY
//!                                         loss, predictions and gradients, for scripts/gpu/right_step.py to compare
//! gpu_step once WAY                       a small step, once: for compute-sanitizer
//! gpu_step plan                           what would run, without a GPU
//! ```
//!
//! A WAY is f32, tf32 or bf16, and after it any of: +plain (attention without tensor cores; f32 always is), +tuned (the fastest
//! of cuBLASLt's ways in place of its own choice).
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench: what goes wrong stops it")]

mod model;
mod operations;
mod tensors;
mod ways;

use std::collections::BTreeMap;
use std::process::ExitCode;

use looped_gpu::{Arena, Device, Graph, Options, Program};
use model::{Shape, Values};
use operations::Step;
use ways::ways;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["plan"] => plan(),
        ["bench"] => bench(&WAYS),
        ["bench", ref ways @ ..] => bench(ways),
        ["check", input, output, way] => check(input, output, way),
        ["once", way] => once(way),
        _ => Err("usage: gpu_step plan | bench [WAY ...] | check IN OUT WAY | once WAY".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What `bench` times.
const WAYS: [&str; 5] = ["f32", "tf32", "tf32+tuned", "bf16", "bf16+tuned"];

fn plan() -> Result<()> {
    for precision in ["f32", "bf16"] {
        let step = Step::new(Shape::STUDY, ways(precision)?.0)?;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for operation in &step.operations {
            *counts.entry(operation.name()).or_default() += 1;
        }
        println!("{precision}: {} operations, {} MB", step.operations.len(), step.bytes >> 20);
        for (name, count) in counts {
            println!("  {count:4} {name}");
        }
    }
    Ok(())
}

/// A step on a device, its values in place.
struct Ready {
    step: Step,
    arena: Arena,
    program: Program,
    device: Device,
}

impl Ready {
    fn new(device: &Device, shape: Shape, way: &str, values: &Values) -> Result<Self> {
        let (ways, options) = ways(way)?;
        let step = Step::new(shape, ways)?;
        let arena = Arena::new(device, step.bytes)?;
        let program = Program::new(&arena, &step.operations, options)?;
        let ready = Self { step, arena, program, device: device.clone() };
        ready.start(values)?;
        Ok(ready)
    }

    /// Puts the values in place.
    fn start(&self, values: &Values) -> Result<()> {
        self.step.fill(&self.arena, values)?;
        Program::new(&self.arena, &self.step.prepare, Options::default())?.run()?;
        Ok(self.device.wait()?)
    }

    fn loss(&self) -> Result<f32> {
        Ok(self.arena.read_floats(self.step.loss)?[0])
    }
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

fn bench(ways: &[&str]) -> Result<()> {
    let device = Device::open(0)?;
    println!("{}", device.versions());
    let (free, total) = device.memory()?;
    println!("{free} of {total} MB free");
    for way in ways {
        // One that fails doesn't keep the others from being timed.
        if let Err(error) = bench_one(&device, way) {
            println!("\n{way}: FAILED: {error}");
        }
    }
    Ok(())
}

fn bench_one(device: &Device, way: &str) -> Result<()> {
    let shape = Shape::STUDY;
    let started = std::time::Instant::now();
    let ready = Ready::new(device, shape, way, &Values::random(shape))?;
    println!(
        "\n{way}: {} operations, arena {} MB, compiled and planned in {:.2} s",
        ready.program.len(),
        ready.step.bytes >> 20,
        started.elapsed().as_secs_f64()
    );
    ready.program.run_slowly()?;
    let first = ready.loss()?;
    let started = std::time::Instant::now();
    let graph = ready.program.capture(0..ready.program.len())?;
    println!("  captured in {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    graph.time(10)?;
    let mut times = graph.time(50)?;
    times.sort_by(f32::total_cmp);
    println!(
        "  graph: {:.3} ms a step (median of {}; {:.3} to {:.3})",
        times[times.len() / 2],
        times.len(),
        times[0],
        times[times.len() - 1]
    );
    let started = std::time::Instant::now();
    ready.program.run()?;
    let asked = started.elapsed();
    device.wait()?;
    println!(
        "  without a graph: {:.3} ms, of which the host asks for {:.3} ms",
        started.elapsed().as_secs_f64() * 1e3,
        asked.as_secs_f64() * 1e3
    );
    let started = std::time::Instant::now();
    graph.replay()?;
    let asked = started.elapsed();
    device.wait()?;
    println!("  the host asks for a replay in {:.3} ms", asked.as_secs_f64() * 1e3);
    println!("  loss {first} at the first step, {} after 63", ready.loss()?);
    profile(&ready)
}

/// Times each distinct operation, 20 times in a graph of its own.
fn profile(ready: &Ready) -> Result<()> {
    const REPEATS: usize = 20;
    let mut found: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (index, name) in ready.program.names().enumerate() {
        // The last of a name: the first of some has less to do.
        let entry = found.entry(name).or_insert((index, 0));
        *entry = (index, entry.1 + 1);
    }
    let mut rows = Vec::new();
    for (name, (index, count)) in found {
        let graph: Graph = ready.program.capture(std::iter::repeat_n(index, REPEATS))?;
        graph.replay()?;
        let each = median(graph.time(5)?) * 1e3 / REPEATS as f32;
        rows.push((each * count as f32 / 1e3, count, each, name));
    }
    ready.device.wait()?;
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("  {:>8} {:>5} {:>9}  each operation alone, back to back", "ms", "times", "us each");
    for (total, count, each, name) in &rows {
        println!("  {total:8.3} {count:5} {each:9.2}  {name}");
    }
    println!("  {:8.3} in all", rows.iter().map(|row| row.0).sum::<f32>());
    Ok(())
}

fn once(way: &str) -> Result<()> {
    let shape = Shape { batch: 3, tokens: 17, loops: 3, window: 2, ..Shape::STUDY };
    let ready = Ready::new(&Device::open(0)?, shape, way, &Values::random(shape))?;
    ready.program.run_slowly()?;
    println!("{way}: loss {}", ready.loss()?);
    Ok(())
}

fn check(input: &str, output: &str, way: &str) -> Result<()> {
    let (shape, values) = tensors::read(input)?;
    let device = Device::open(0)?;
    let ready = Ready::new(&device, shape, way, &values)?;
    let read = |ready: &Ready| -> Result<[Vec<f32>; 3]> {
        let step = &ready.step;
        let arena = &ready.arena;
        Ok([
            arena.read_floats(step.loss)?,
            arena.read_floats(step.predictions)?,
            arena.read_floats(step.gradients)?,
        ])
    };
    ready.program.run_slowly()?;
    let once = read(&ready)?;
    // Adam has moved the parameters: the same values again, by a graph.
    ready.start(&values)?;
    ready.program.capture(0..ready.program.len())?.replay()?;
    let again = read(&ready)?;
    let bits =
        |values: &[Vec<f32>; 3]| -> Vec<u32> { values.iter().flatten().map(|v| v.to_bits()).collect() };
    println!("a graph's replay gives the same bits: {}", bits(&once) == bits(&again));
    println!("{way}: loss {}", once[0][0]);
    tensors::write(output, &ready.step, &ready.arena)
}
