//! `--json`: every command that prints a result prints it so that a program can read it.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::collections::HashMap;
use std::fs;

use common::Place;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

fn json(place: &Place, arguments: &[&str]) -> Value {
    let told = place.looped(&[arguments, &["--json"]].concat()).ok();
    serde_json::from_str(&told.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", told.stdout))
}

#[test]
fn every_result_can_be_had_as_json() {
    let place = Place::new();
    let run = json(&place, &["run", "tiny.toml", "-o", "run", "training.train_steps=2"]);
    assert_eq!(run["run"], "run");
    let error = &run["evaluation"]["curves"]["model"]["mean"][4];
    assert!(error.is_f64(), "{run}");
    let resumed = json(&place, &["resume", "run"]);
    assert_eq!((&resumed["run"], &resumed["evaluation"]["curves"]["model"]["mean"][4]), (&run["run"], error));
    assert_eq!(json(&place, &["report", "run"])["report"], "run/report.html");

    let bytes = [0u8; 48];
    let views = [("xs", &[2usize, 3, 2][..]), ("ys", &[2, 3])].map(|(name, shape)| {
        let length = 4 * shape.iter().product::<usize>();
        (name, TensorView::new(Dtype::F32, shape.to_vec(), &bytes[..length]).unwrap())
    });
    let file = safetensors::serialize(views, None::<HashMap<String, String>>).unwrap();
    fs::write(place.path("prompts.safetensors"), file).unwrap();
    let predicted =
        json(&place, &["predict", "run", "--data", "prompts.safetensors", "-o", "preds.safetensors"]);
    // As often as the experiment evaluates.
    assert_eq!((&predicted["loops"], &predicted["prompts"]), (&4.into(), &2.into()), "{predicted}");
    let found = json(
        &place,
        &["baselines", "--data", "prompts.safetensors", "--baseline", "knn", "-o", "b.safetensors"],
    );
    assert_eq!(found["baselines"], serde_json::json!(["knn_3"]));

    let imported =
        json(&place, &["import", "run/checkpoints/last/model.safetensors", "tiny.toml", "-o", "imported"]);
    assert_eq!(imported["run"], "imported");
    let compared = json(&place, &["compare", "run", "-o", "compared"]);
    assert_eq!(compared["report"], "compared/report.html");
    assert!(compared["comparison"].is_object(), "{compared}");
    fs::write(place.path("sweep.toml"), "base = \"tiny.toml\"\nseeds = [0, 1]\n").unwrap();
    let swept = json(&place, &["sweep", "sweep.toml", "training.train_steps=2", "-o", "s", "-j", "2", "-q"]);
    assert!(swept["comparison"].is_object(), "{swept}");
}
