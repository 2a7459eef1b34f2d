//! The resolved text: complete, ordered, and read back to itself.

use std::path::{Path, PathBuf};

use looped_config::sweep::Sweep;
use looped_config::{Experiment, load};

use crate::support::{Folder, GOOD};

#[test]
fn every_key_has_its_value_in_the_documented_order() {
    let text =
        Folder::with(&[("exp.toml", GOOD)]).load("exp.toml", &[]).unwrap().experiment.to_toml().unwrap();
    assert_eq!(
        text,
        r#"name = "good"
seed = 7

[task]
type = "linear_regression"

[model]
n_dims = 4
n_positions = 11
n_embd = 16
n_layer = 1

[model.block]
type = "transformer"
n_head = 2

[model.injector]
type = "last_n"
n = 6
operation = "multiply"

[training]
batch_size = 8
learning_rate = 0.001
weight_decay = 0.0
train_steps = 100
n_loop_window = 3
engine = "auto"
precision = "f32"
log_every_steps = 10
save_every_steps = 1000
keep_every_steps = 20000
validate_every_steps = 500

[training.curriculum]
dims = { start = 2, end = 4, inc = 1, interval = 10 }
points = { start = 5, end = 11, inc = 2, interval = 10 }
loops = { start = 2, end = 6, inc = 1, interval = 10 }

[evaluation]
prompts = 1280
seed = 1
baselines = [{ type = "least_squares" }, { type = "averaging" }, { type = "knn", k = 3 }]
"#
    );
}

fn reads_back(experiment: &Experiment) {
    let text = experiment.to_toml().unwrap();
    let again = Experiment::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.to_toml().unwrap(), text);
    assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(experiment).unwrap());
}

#[test]
fn optional_keys_and_nested_parts_read_back() {
    let folder = Folder::with(&[("exp.toml", GOOD)]);
    let overrides = [
        "training.n_loss_loops=1",
        "training.gradient_clip=0.1",
        "training.threads=2",
        "evaluation.loops=50",
        "evaluation.baselines=[]",
        "seed=9223372036854775807",
        "training.learning_rate=3.0000000000000004e-5",
        "model.pretrained_path='a \"b\".pt'",
        "model.block={type='sequential',blocks=[{type='lstm'},{type='sequential',blocks=[{type='transformer',n_head=2}]}]}",
        "task={type='shifted',base={type='noisy_linear_regression',std=0.5},distribution={type='scaled_inputs',factor=2.0}}",
    ];
    reads_back(&folder.load("exp.toml", &overrides).unwrap().experiment);
}

/// Every experiment of the repository is valid, and reads back from its resolved text.
#[test]
fn the_repositorys_experiments_read_back() {
    let mut files = Vec::new();
    toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments"), &mut files);
    assert!(files.len() > 10);
    for file in files {
        // Optimisers are parts of a crate that depends on this one; the program's own tests read these files.
        if !Sweep::is_at(&file) && !names_optimizer(&file) {
            reads_back(&load(&file, &[]).unwrap_or_else(|error| panic!("{error}")).experiment);
        }
    }
}

/// Whether a file, or one that it extends, names an optimiser.
fn names_optimizer(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    let extended = text.lines().find_map(|line| line.strip_prefix("extends = \"")?.strip_suffix('"'));
    text.contains("optimizer") || extended.is_some_and(|other| names_optimizer(&file.with_file_name(other)))
}

pub(crate) fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}
