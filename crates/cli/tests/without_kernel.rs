//! A program with blocks whose operations have no kernel: this one, which links the built-in parts and registers two.
//!
//! The whole binary is that program, so there is no test harness: started with a command, it is `looped`.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;
#[path = "../../gpu/tests/fake/mod.rs"]
mod fake;

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use common::{Place, Ran};
use looped_core::graph::{self, At, Linear, Value};
use looped_core::{BlockConfig, ModelDims, schemars, typetag};
use serde::{Deserialize, Serialize};

/// A block of an author who has an idea for which there is no operation.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Waves {}

struct WavesBlock(Linear);

impl graph::Block for WavesBlock {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        x + x.linear(&self.0).candle("waves", &[], |x| x[0].sin())
    }
}

#[typetag::serde(name = "waves")]
impl BlockConfig for Waves {
    fn build(&self, dims: &ModelDims, params: &mut graph::Params<'_>) -> Box<dyn graph::Block> {
        Box::new(WavesBlock(Linear::uniform(dims.n_embd, dims.n_embd, &mut params.scope("inner"))))
    }
}

looped_core::register!(Block, "waves", Waves);

/// A recurrence with a gate of one number, which the kernels of recurrences don't know.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Narrow {}

struct NarrowBlock(Linear);

impl graph::Block for NarrowBlock {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        let [h] = x.recur([x.width()], |x, [h]| {
            let gate = h.linear(&self.0).sigmoid();
            [x + h * Value::concat(&vec![gate; h.width()])]
        });
        h
    }
}

#[typetag::serde(name = "narrow")]
impl BlockConfig for Narrow {
    fn build(&self, dims: &ModelDims, params: &mut graph::Params<'_>) -> Box<dyn graph::Block> {
        Box::new(NarrowBlock(Linear::uniform(dims.n_embd, 1, &mut params.scope("gate"))))
    }
}

looped_core::register!(Block, "narrow", Narrow);

/// Runs this program as `looped`.
fn looped(place: &Place, arguments: &[&str]) -> Ran {
    looped_with(place, arguments, &[])
}

/// The same, with some variables set.
fn looped_with(place: &Place, arguments: &[&str], variables: &[(&str, &OsStr)]) -> Ran {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .current_dir(place.path(""))
        .env("LOOPED_AS_A_PROGRAM", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn main() -> ExitCode {
    if std::env::var_os("LOOPED_AS_A_PROGRAM").is_some() {
        return cli::main();
    }
    what_runs_by_candle_is_said_once_with_its_layers_and_its_line();
    println!("test what_runs_by_candle_is_said_once_with_its_layers_and_its_line ... ok");
    a_recurrence_without_a_kernel_says_what_in_its_cell_has_none();
    println!("test a_recurrence_without_a_kernel_says_what_in_its_cell_has_none ... ok");
    a_gpu_refuses_an_operation_of_ones_own_with_its_part_and_its_line();
    println!("test a_gpu_refuses_an_operation_of_ones_own_with_its_part_and_its_line ... ok");
    built_in_parts_have_kernels();
    println!("test built_in_parts_have_kernels ... ok");
    ExitCode::SUCCESS
}

fn what_runs_by_candle_is_said_once_with_its_layers_and_its_line() {
    let place = Place::new();
    let block = r#"model.block={ type = "waves" }"#;
    let start = "note: candle `waves` of `h.0`, `h.1`: it runs by candle's operations, more slowly, at ";
    let told = |text: &str, prefix: &str| {
        let found: Vec<&str> = text.lines().filter(|line| line.contains("waves` of")).collect();
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].starts_with(&format!("{prefix}{start}")), "{text}");
        assert!(
            found[0].contains("without_kernel.rs:") && found[0].ends_with(": there is no kernel for it"),
            "{text}"
        );
    };
    let checked = looped(&place, &["check", "tiny.toml", block, "model.n_layer=2"]).ok();
    told(&checked.stdout, "# ");
    let json = looped(&place, &["check", "tiny.toml", block, "model.n_layer=2", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["without_kernel"].as_array().unwrap().len(), 1, "{json}");
    let ran = looped(&place, &["run", "tiny.toml", block, "model.n_layer=2", "--out", "run"]).ok();
    told(&ran.stderr, "");
    let run: serde_json::Value = serde_json::from_str(&place.read("run/run.json")).unwrap();
    assert!(
        run["sessions"][0]["without_kernel"][0].as_str().unwrap().starts_with("candle `waves` of `h.0`"),
        "{run}"
    );
    // Candle has no kernels to lack.
    let reference = [block, "model.n_layer=2", "training.engine=candle"];
    let checked = looped(&place, &[&["check", "tiny.toml"], &reference[..]].concat()).ok();
    assert!(!checked.stdout.contains("candle's operations"), "{}", checked.stdout);
}

fn a_recurrence_without_a_kernel_says_what_in_its_cell_has_none() {
    let place = Place::new();
    let ran =
        looped(&place, &["run", "tiny.toml", r#"model.block={ type = "narrow" }"#, "--out", "run"]).ok();
    let note = ran.stderr.lines().find(|line| line.starts_with("note: recur")).unwrap_or_default().to_owned();
    assert!(note.contains("of `h.0`: it runs by candle's operations, more slowly, at "), "{}", ran.stderr);
    assert!(note.contains("within a recurrence: a product has two columns at least, at "), "{note}");
    assert_eq!(note.matches("without_kernel.rs:").count(), 2, "{note}");
}

fn a_gpu_refuses_an_operation_of_ones_own_with_its_part_and_its_line() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    let of = |more: &[&str]| {
        let run = ["run", "tiny.toml", r#"model.block={ type = "waves" }"#, "--out", "run"];
        looped_with(&place, &[&run[..], more].concat(), &[("LD_LIBRARY_PATH", folder.as_os_str())])
    };
    let why = "h.0: candle `waves`: an operation of one's own has no CUDA kernel, at ";
    for (engine, words) in
        [("auto", "can't compute this model on cuda:0: "), ("fused", "cuda engine, which can't take")]
    {
        let ran = of(&["--device", "cuda:0", &format!("training.engine={engine}")]);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
        ran.fails(2, &[words, why, "without_kernel.rs:"]);
        assert!(!place.path("run").exists());
    }
    let ran = of(&["--device", "auto"]).ok();
    let told = format!("on cpu (--device auto: the CUDA engine can't take this model: {why}");
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}

fn built_in_parts_have_kernels() {
    let place = Place::new();
    let engine = "training.engine=fused";
    let blocks = r#"[
        { type = "loop_embedding", loops = 3 }, { type = "transformer", n_head = 2 }, { type = "llama", n_head = 2 },
        { type = "lstm" }, { type = "ssm" },
    ]"#;
    let block = format!(r#"model.block={{ type = "sequential", blocks = {blocks} }}"#).replace('\n', "");
    for injector in [
        r#"{ type = "full" }"#,
        r#"{ type = "last_n", n = 4 }"#,
        r#"{ type = "first_n", n = 4 }"#,
        r#"{ type = "pattern", keep = [true, false] }"#,
        r#"{ type = "concat" }"#,
        r#"{ type = "learned_gate" }"#,
    ] {
        let injector = format!("model.injector={injector}");
        let told = looped(&place, &["check", "tiny.toml", engine, &block, &injector, "--json"]).ok();
        let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!(
            (&told["engine"], &told["without_kernel"]),
            (&"fused".into(), &serde_json::json!([])),
            "{told}"
        );
    }
}
