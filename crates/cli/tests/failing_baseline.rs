//! A program with a baseline that fails: this one, which links the built-in parts and registers another.
//!
//! The whole binary is that program, so there is no test harness: started with a command, it is `looped`.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::process::{Command, ExitCode};

use common::{Place, Ran};
use looped_core::{Baseline, Error, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A baseline that fits nothing.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Hopeless {}

#[typetag::serde(name = "hopeless")]
impl Baseline for Hopeless {
    fn name(&self) -> String {
        "hopeless".to_owned()
    }

    fn predict(&self, _: Prompt<'_>) -> Result<Vec<f32>> {
        Err(Error::Data("no fit was found".to_owned()))
    }
}

looped_core::register!(Baseline, "hopeless", Hopeless);

/// A baseline with a mistake in it.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Careless {}

#[typetag::serde(name = "careless")]
impl Baseline for Careless {
    fn name(&self) -> String {
        "careless".to_owned()
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        Ok(vec![prompt.ys[prompt.ys.len()]])
    }
}

looped_core::register!(Baseline, "careless", Careless);

/// Runs this program as `looped`.
fn looped(place: &Place, arguments: &[&str]) -> Ran {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .current_dir(place.path(""))
        .env("LOOPED_AS_A_PROGRAM", "1")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn main() -> ExitCode {
    if std::env::var_os("LOOPED_AS_A_PROGRAM").is_some() {
        return cli::main();
    }
    let place = Place::new();
    let told = "the baseline hopeless failed and has no curve: no fit was found";
    let warning = format!("warning: {told}");
    let baselines = r#"evaluation.baselines=[{type="hopeless"}, {type="averaging"}]"#;

    let ran = looped(&place, &["run", "tiny.toml", baselines, "--out", "run"]).ok();
    assert!(
        ran.stderr.contains(&warning) && ran.stdout.contains("averaging"),
        "{}{}",
        ran.stderr,
        ran.stdout
    );
    let eval: Value = serde_json::from_str(&place.read("run/eval.json")).unwrap();
    let names: Vec<&String> = eval["curves"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "averaging"]);
    assert_eq!(eval["failed_baselines"]["hopeless"], "no fit was found");
    assert!(place.read("run/report.md").contains(told) && place.read("run/report.html").contains(told));

    for suite in [&[][..], &["--suite", "ood"]] {
        let ran = looped(&place, &[&["eval", "run"], suite].concat()).ok();
        assert!(ran.stderr.contains(&warning), "{}", ran.stderr);
    }
    let ran = looped(&place, &["compare", "run", "--out", "compared"]).ok();
    assert!(ran.stdout.contains("The baseline hopeless failed: no fit was found."), "{}", ran.stdout);
    println!("test a_baseline_that_fails_costs_its_own_curve_alone ... ok");
    a_baseline_that_panics_is_one_that_fails(&place);
    println!("test a_baseline_that_panics_is_one_that_fails ... ok");
    ExitCode::SUCCESS
}

fn a_baseline_that_panics_is_one_that_fails(place: &Place) {
    let told = "the baseline careless failed and has no curve: it panicked: index out of bounds: the len is 5 but \
                the index is 5";
    let baselines = r#"evaluation.baselines=[{type="careless"}, {type="averaging"}]"#;
    // Two threads could panic at once.
    let ran = looped(place, &["run", "tiny.toml", baselines, "training.threads=1", "--out", "careless"]).ok();
    assert!(ran.stderr.contains(&format!("warning: {told}")), "{}", ran.stderr);
    // Where it is, once: the author wants to know.
    assert_eq!(ran.stderr.matches("panicked at").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("failing_baseline.rs:"), "{}", ran.stderr);
    let eval: Value = serde_json::from_str(&place.read("careless/eval.json")).unwrap();
    let names: Vec<&String> = eval["curves"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "averaging"]);
    for arguments in [&["eval", "careless"][..], &["eval", "careless", "--suite", "ood"]] {
        assert!(looped(place, arguments).ok().stderr.contains("it panicked"));
    }
}
