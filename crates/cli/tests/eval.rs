//! `eval` and `baselines`: the suite of shifts, convergence, chosen baselines; what they leave and what they refuse.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Place, TINY};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

/// A place with a finished run, `run`.
fn finished(changes: &[&str]) -> Place {
    let place = Place::new();
    let run = ["run", "tiny.toml", "--out", "run", "training.train_steps=4"];
    place.looped(&[&run[..], changes].concat()).ok();
    place
}

#[test]
fn a_run_without_a_checkpoint_has_nothing_to_score() {
    let place = finished(&[]);
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    place.looped(&["eval", "run"]).fails(2, &["run has no checkpoint", "looped resume run"]);
}

#[test]
fn the_suite_has_a_curve_for_each_shift_beside_least_squares() {
    let place = finished(&[]);
    let before = place.read("run/report.md");
    let json = place.looped(&["eval", "run", "--suite", "ood", "--json"]).ok().stdout;
    assert!(!place.path("run/eval_ood.json").exists() && place.read("run/report.md") == before);
    let found: Value = serde_json::from_str(&json).unwrap();
    let shifts = found["shifts"].as_array().unwrap();
    assert_eq!((shifts.len(), &found["left_out"]), (15, &Value::Array(vec![])));
    for shift in shifts {
        let examples = shift["examples"].as_array().unwrap().len();
        // The query can be orthogonal to one point of a plane, no more.
        assert_eq!(examples, if shift["name"] == "orthogonal_query" { 2 } else { 5 }, "{}", shift["name"]);
        assert_eq!(shift["normaliser"], 2.0);
        for curve in ["model", "least_squares"] {
            assert_eq!(shift["curves"][curve]["mean"].as_array().unwrap().len(), examples);
        }
    }
    // The part of the suite that isn't shifted is the evaluation of the run itself.
    let eval: Value = serde_json::from_str(&place.read("run/eval.json")).unwrap();
    assert_eq!(found["standard"]["curves"], eval["curves"]);

    let table = place.looped(&["eval", "run", "--suite", "ood", "--save"]).ok().stdout;
    assert_eq!(table.matches("scaled_inputs_").count(), 4, "{table}");
    assert_eq!(serde_json::from_str::<Value>(&place.read("run/eval_ood.json")).unwrap(), found);
    assert!(place.read("run/report.md").contains("## Out of distribution"));
    for extension in ["svg", "png"] {
        assert!(place.path(&format!("run/plots/ood_half_subspace.{extension}")).exists());
    }
}

#[test]
fn what_a_task_does_not_allow_is_said() {
    let place = finished(&["task={type=\"linear_classification\"}"]);
    let table = place.looped(&["eval", "run", "--suite", "ood"]).ok().stdout;
    assert!(table.contains("not applicable to this task: scaled_outputs_0.333"), "{table}");
    place.looped(&["eval", "run", "--suite", "odd"]).fails(2, &["odd", "possible values: ood"]);
    place.looped(&["eval", "run", "--save"]).fails(2, &["--suite"]);
}

#[test]
fn an_evaluation_says_whether_the_loops_converge() {
    let place = finished(&[]);
    let eval: Value = serde_json::from_str(&place.read("run/eval.json")).unwrap();
    assert_eq!(eval["converged_at"].as_array().unwrap().len(), 5);
    let change = &eval["state_change"];
    assert_eq!((&change["prompts"], &change["distance"]["mean"][0]), (&16.into(), &Value::Null));
    for index in 1..4 {
        let part = |name: &str| change["distance"][name][index].as_f64().unwrap();
        assert!(0.0 < part("low") && part("low") <= part("mean") && part("mean") <= part("high"));
    }
    let report = place.read("run/report.md");
    assert!(report.contains("plots/state_change.png") && report.contains("plots/convergence.png"));
    let table = place.looped(&["eval", "run", "--loops", "20"]).ok().stdout;
    for words in ["converged at loop", "state moves by", "\n  16  ", "\n  20  "] {
        assert!(table.contains(words), "{words}:\n{table}");
    }
}

fn prompts(path: &Path) {
    let values: Vec<u8> = (0..18).flat_map(|i| (i as f32 * 0.1).to_le_bytes()).collect();
    let tensors = [
        ("xs", TensorView::new(Dtype::F32, vec![2, 3, 2], &values[..48]).unwrap()),
        ("ys", TensorView::new(Dtype::F32, vec![2, 3], &values[48..]).unwrap()),
    ];
    fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn baselines_can_be_chosen() {
    let place = finished(&[]);
    prompts(&place.path("prompts.safetensors"));
    let names = |chosen: &[&str]| {
        let all = ["baselines", "--data", "prompts.safetensors", "--out", "out.safetensors"];
        place.looped(&[&all[..], chosen].concat()).ok();
        let bytes = fs::read(place.path("out.safetensors")).unwrap();
        let mut names: Vec<String> =
            SafeTensors::deserialize(&bytes).unwrap().names().iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&[]).len(), 10);
    let two = ["--baseline", "averaging", "--baseline", "{type = \"knn\", k = 2}"];
    assert_eq!(names(&two), ["averaging", "knn_2"]);
    let each = ["--baseline", "{type = \"solver\", method = \"cg\", steps = \"loops\"}"];
    place
        .looped(
            &[&["baselines", "--data", "prompts.safetensors", "--out", "none.safetensors"], &each[..]]
                .concat(),
        )
        .fails(1, &["baseline cg_loops", "takes a model beside it", "allowed for steps: a number"]);
    let twice = [&["eval", "run"], &two[..], &["--baseline", "averaging"]].concat();
    place.looped(&twice).fails(2, &["--baseline averaging: is called averaging, as another one is"]);

    let json = place.looped(&["eval", "run", "--json", "--baseline", "averaging"]).ok().stdout;
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["curves"].as_object().unwrap().keys().collect::<Vec<_>>(), ["model", "averaging"]);

    let refused = |text: &str, parts: &[&str]| {
        place.looped(&["eval", "run", "--baseline", text]).fails(2, parts);
    };
    refused("nn", &["--baseline nn", "no such baseline", "averaging", "least_squares"]);
    refused("{type = \"knn\", n = 5}", &["--baseline", "unknown field `n`", "`k`"]);
    refused("{type = \"ridge\", alpha = -1.0}", &["alpha", "-1"]);
    refused("{type = ", &["--baseline {type = "]);
}

/// The real TensorBoard finds every run of a sweep below its folder, where `LOOPED_PYTHON` names a Python that has it.
#[test]
fn tensorboard_reads_a_sweep() {
    let Some(python) = std::env::var_os("LOOPED_PYTHON") else { return };
    let place = Place::new();
    fs::write(place.path("tiny.toml"), TINY).unwrap();
    fs::write(
        place.path("sweep.toml"),
        "base = \"tiny.toml\"\nseeds = [0, 1]\n[[variant]]\nname = \"one\"\n[[variant]]\nname = \"two\"\n\
         set = { \"model.n_layer\" = 2 }\n",
    )
    .unwrap();
    place.looped(&["sweep", "sweep.toml", "--out", "sweep"]).ok();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_sweep.py");
    let output = Command::new(python).arg(script).arg(place.path("sweep")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let runs: Vec<&str> = text.lines().collect();
    assert_eq!(runs.len(), 4, "{text}");
    for run in runs {
        // As metrics.jsonl has them: every second step, and the last.
        let [folder, steps, score] = run.split(' ').collect::<Vec<_>>().try_into().unwrap();
        assert!(place.path("sweep").join(folder).join("config.toml").exists(), "{run}");
        assert_eq!(steps, "0,2,4,6,8,10,11", "{run}");
        let eval = place.read(&format!("sweep/{folder}/eval.json"));
        let eval: Value = serde_json::from_str(&eval).unwrap();
        let last = eval["curves"]["model"]["mean"][4].as_f64().unwrap();
        assert!((score.parse::<f64>().unwrap() - last).abs() < 1e-6 * last, "{run}: {last}");
    }
}
