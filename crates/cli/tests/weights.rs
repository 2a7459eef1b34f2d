//! `import`, `predict`, `check` and `list`.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Place, TINY};
use safetensors::SafeTensors;

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../train/tests/fixtures/pt");
    folder.join(name).canonicalize().unwrap().display().to_string()
}

fn floats(bytes: &[u8], name: &str) -> (Vec<usize>, Vec<f32>) {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let values = view.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (view.shape().to_vec(), values)
}

/// The sizes of the published fixture.
fn place() -> Place {
    let place = Place::new();
    let text = TINY.replace("n_dims = 2", "n_dims = 3").replace("n_positions = 5", "n_positions = 7");
    fs::write(place.path("published.toml"), text).unwrap();
    place
}

#[test]
fn every_published_form_imports_and_predicts_as_pytorch_does() {
    let place = place();
    let expected = fs::read(fixture("expected.safetensors")).unwrap();
    let (shape, expected) = floats(&expected, "preds");
    assert_eq!(shape, [4, 4, 5]);
    let scale = expected.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
    for name in ["model", "model_state_dict", "bare", "orig_mod", "orig_mod_backbone", "masks"] {
        place.looped(&["import", &fixture(&format!("{name}.pt")), "published.toml", "--out", name]).ok();
        let data = fixture("expected.safetensors");
        place.looped(&["predict", name, "--data", &data, "--loops", "4", "--out", "preds.safetensors"]).ok();
        let (shape, preds) = floats(&fs::read(place.path("preds.safetensors")).unwrap(), "preds");
        assert_eq!(shape, [4, 4, 5]);
        let worst = preds.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-5 * scale, "{name}: differs by {worst} of {scale}");
    }
    // An imported run can be trained further, and its checkpoint can be imported again.
    place.looped(&["resume", "model"]).ok();
    let last = place.path("bare/checkpoints/last/model.safetensors").display().to_string();
    place.looped(&["import", &last, "published.toml", "--out", "again"]).ok();
    let pretrained = format!("model.pretrained_path={last}");
    place.looped(&["run", "published.toml", &pretrained, "training.train_steps=1", "--out", "tuned"]).ok();
}

#[test]
fn weights_that_do_not_fit_or_cannot_be_trusted_are_refused() {
    let place = place();
    let cases: [(&str, &[&str]); 7] = [
        ("missing.pt", &["is missing (expected shape"]),
        ("surplus.pt", &["is not in the model"]),
        ("wrong_shape.pt", &["has shape", "the model needs"]),
        ("code.pt", &["refused"]),
        ("huge.pt", &[]),
        ("truncated.pt", &[]),
        ("empty.pt", &[]),
    ];
    for (name, parts) in cases {
        let path = fixture(name);
        let parts: Vec<&str> = [name].iter().chain(parts).copied().collect();
        place.looped(&["import", &path, "published.toml", "--out", "run"]).fails(2, &parts);
        assert!(!place.path("run").exists(), "{name}");
    }
    place.looped(&["import", "gone.pt", "published.toml", "--out", "run"]).fails(2, &["gone.pt"]);
}

#[test]
fn check_counts_the_papers_models() {
    let place = Place::new();
    let paper = |name| format!("{}/../../experiments/paper/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    for (name, parameters) in [("linear_looped", "0.79 M"), ("linear_standard", "9.48 M")] {
        let checked = place.looped(&["check", &paper(name)]).ok();
        let line = checked.stdout.lines().find(|line| line.starts_with("# parameters:")).unwrap();
        assert!(line.contains(parameters), "{line}");
        for part in ["# FLOPs of the whole training:", "# peak memory, estimated:"] {
            assert!(checked.stdout.contains(part), "{}", checked.stdout);
        }
        // What it prints is an experiment.
        fs::write(place.path("printed.toml"), &checked.stdout).unwrap();
        assert_eq!(place.looped(&["check", "printed.toml"]).ok().stdout, checked.stdout);
    }
}

#[test]
fn list_names_every_part_with_its_help() {
    let place = Place::new();
    let all = place.looped(&["list"]).ok().stdout;
    for tag in [
        "transformer",
        "lstm",
        "sequential",
        "full",
        "last_n",
        "first_n",
        "pattern",
        "none",
        "linear_regression",
        "noisy_linear_regression",
        "sparse_linear_regression",
        "relu_2nn_regression",
        "decision_tree",
        "quadratic_regression",
        "linear_classification",
        "dataset",
        "least_squares",
        "averaging",
        "knn",
    ] {
        let line = all
            .lines()
            .find(|line| line.split_whitespace().next() == Some(tag))
            .unwrap_or_else(|| panic!("no {tag} in\n{all}"));
        assert!(line.split_whitespace().count() > 3, "{line}");
    }
    let blocks = place.looped(&["list", "blocks"]).ok().stdout;
    assert!(blocks.contains("lstm") && !blocks.contains("dataset"), "{blocks}");
}

#[test]
fn the_schema_knows_every_part() {
    let text = Place::new().looped(&["schema"]).ok().stdout;
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    for word in ["\"n_head\"", "\"sparse_linear_regression\"", "\"last_n\"", "\"knn\"", "\"gradient_clip\""] {
        assert!(text.contains(word), "no {word}");
    }
}

#[test]
fn an_imported_models_average_begins_at_its_weights() {
    let place = place();
    place
        .looped(&["import", &fixture("model.pt"), "published.toml", "training.ema=0.9", "--out", "run"])
        .ok();
    let file = |name: &str| fs::read(place.path("run/checkpoints/last").join(name)).unwrap();
    assert!(file("model.safetensors") == file("model_ema.safetensors"));
}
