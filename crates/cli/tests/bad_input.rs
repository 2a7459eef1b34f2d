//! Every kind of bad input: one clear message, the right exit code, never a panic, nothing lost.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use common::{Place, TINY};
use safetensors::tensor::{Dtype, TensorView};

#[test]
fn configs() {
    let place = Place::new();
    let cases: [(&str, &[&str]); 16] = [
        ("model.n_embd=\"wide\"", &["model.n_embd", "integer"]),
        ("model.n_embd=10 model.block.n_head=4", &["model.block.n_head", "4", "10", "allowed: 1, 2, 5, 10"]),
        ("model.n_emb=8", &["model.n_emb", "n_embd"]),
        (
            "model.block.type=transfomer",
            &["model.block", "transfomer", "transformer", "lstm", "sequential", "ssm"],
        ),
        ("task.type=linear", &["task", "linear_regression"]),
        ("model.injector={type=\"last_n\"}", &["model.injector", "n"]),
        ("model.injector={type=\"last_n\",n=-3}", &["model.injector.n", "-3"]),
        ("training.batch_size=0", &["training.batch_size"]),
        ("training.learning_rate=-1.0", &["training.learning_rate"]),
        ("training.learning_rate=nan", &["training.learning_rate"]),
        ("training.curriculum.points.end=9", &["points", "9", "n_positions", "5"]),
        ("training.curriculum.dims.end=9", &["dims", "9", "n_dims", "2"]),
        ("training.engine=turbo", &["training.engine", "turbo", "auto", "candle", "fused"]),
        (
            "model.block={type=\"transformer\",n_head=2,causal=false}",
            &["model.block", "lets a token see later ones", "linear_regression", "allowed: causal blocks"],
        ),
        ("model.block={type=\"llama\",n_head=8}", &["model.block.n_head", "8", "allowed: 1, 2, 4"]),
        ("no_equals_sign", &["no_equals_sign", "KEY=VALUE"]),
    ];
    for (overrides, parts) in cases {
        let arguments: Vec<&str> = ["run", "tiny.toml"].into_iter().chain(overrides.split(' ')).collect();
        place.looped(&arguments).fails(2, parts);
        assert!(!place.path("runs").exists(), "{overrides}: a run directory was made");
    }
}

#[test]
fn several_problems_are_told_together_with_their_file() {
    let place = Place::new();
    let text = TINY
        .replace("n_embd = 8", "n_embd = 10\nn_hed = 3")
        .replace("batch_size = 4", "batch_size = \"four\"");
    fs::write(place.path("bad.toml"), text).unwrap();
    place.looped(&["check", "bad.toml"]).fails(2, &["bad.toml", "model.n_hed", "training.batch_size"]);
}

#[test]
fn files() {
    let place = Place::new();
    place.looped(&["run", "nothing.toml"]).fails(2, &["nothing.toml"]);
    fs::write(place.path("broken.toml"), "name = \"x\nseed = 1").unwrap();
    place.looped(&["run", "broken.toml"]).fails(2, &["broken.toml:1:"]);
    fs::write(place.path("child.toml"), "extends = \"parent.toml\"").unwrap();
    place.looped(&["run", "child.toml"]).fails(2, &["child.toml", "parent.toml"]);
    fs::write(place.path("a.toml"), "extends = \"b.toml\"").unwrap();
    fs::write(place.path("b.toml"), "extends = \"a.toml\"").unwrap();
    place.looped(&["run", "a.toml"]).fails(2, &["a.toml", "b.toml"]);
    place.looped(&["resume", "nowhere"]).fails(2, &["nowhere is not a run directory"]);
    // A file without an end is not read to it.
    #[cfg(unix)]
    for command in [&["check"][..], &["sweep", "--out", "s"]] {
        std::os::unix::fs::symlink("/dev/zero", place.path("endless.toml")).unwrap();
        place
            .looped(&[command, &["endless.toml"]].concat())
            .fails(2, &["endless.toml", "is larger than 1024 KiB"]);
        fs::remove_file(place.path("endless.toml")).unwrap();
    }
}

#[test]
fn arguments() {
    let place = Place::new();
    place.looped(&["run"]).fails(2, &["EXPERIMENT"]);
    place.looped(&["fly"]).fails(2, &["fly"]);
    place
        .looped(&["run", "tiny.toml", "--device", "gpu"])
        .fails(2, &["--device gpu", "allowed: auto, cpu, cuda:0"]);
    // Every build can compute on a GPU; where there is none, what is missing is said.
    if !Path::new("/dev/nvidia0").exists() {
        place.looped(&["run", "tiny.toml", "--device", "cuda:0"]).fails(2, &["--device cuda:0: "]);
    }
    place.looped(&["list", "cakes"]).fails(2, &["cakes", "blocks"]);
    for command in [
        "run",
        "resume",
        "check",
        "list",
        "schema",
        "import",
        "predict",
        "eval",
        "probe",
        "match",
        "exits",
        "stability",
        "baselines",
        "new",
    ] {
        let help = place.looped(&[command, "--help"]).ok();
        let shows = |heading: &str| help.stdout.contains(&format!("{heading}\n  looped {command} "));
        assert!(shows("Example:") || shows("Examples:"), "{}", help.stdout);
    }
}

#[test]
fn output_directories() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "run"]).ok();
    let before = fs::read(place.path("run/checkpoints/last/model.safetensors")).unwrap();
    place
        .looped(&["run", "tiny.toml", "--out", "run"])
        .fails(2, &["run holds a run already", "looped resume run"]);
    assert_eq!(fs::read(place.path("run/checkpoints/last/model.safetensors")).unwrap(), before);
    place.looped(&["run", "tiny.toml", "--out", "tiny.toml/run"]).fails(1, &["tiny.toml/run: cannot create"]);
    assert_eq!(place.read("tiny.toml"), TINY);
}

#[test]
fn sizes_that_would_exhaust_memory_are_refused_before_anything_is_allocated() {
    let place = Place::new();
    let huge = ["model.n_embd=1000000", "training.batch_size=100000"];
    place
        .looped(&[&["run", "tiny.toml"][..], &huge].concat())
        .fails(2, &["GB of memory", "training.batch_size"]);
    let checked = place.looped(&[&["check", "tiny.toml"][..], &huge].concat()).ok();
    assert!(checked.stderr.contains("warning: this experiment needs about"), "{}", checked.stderr);
    let on_gpu = place.looped(&[&["check", "tiny.toml", "--device", "cuda:0"][..], &huge].concat());
    on_gpu.fails(2, &["GB at a time, and 17 GB is the most"]);
}

#[test]
fn damaged_checkpoints() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let model = place.path("run/checkpoints/last/model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&model, &bytes).unwrap();
    let resumed = place.looped(&["resume", "run"]).ok();
    for part in ["last/model.safetensors: does not match its checksum", "using", "step 10"] {
        assert!(resumed.stderr.contains(part), "{}", resumed.stderr);
    }
    // Resuming made a good `last` again.
    let again = place.looped(&["resume", "run"]).ok();
    assert!(!again.stderr.contains("warning"), "{}", again.stderr);

    for folder in ["last", "previous", "step_0000010"] {
        fs::write(place.path("run/checkpoints").join(folder).join("model.safetensors"), "short").unwrap();
    }
    place
        .looped(&["resume", "run"])
        .fails(1, &["no usable checkpoint", "last/model.safetensors", "previous/model.safetensors"]);
}

/// Name, shape and values.
type Named<'a> = (&'a str, &'a [usize], &'a [f32]);

/// Writes a safetensors file of f32 tensors.
fn write(path: &Path, tensors: &[Named<'_>]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(.., v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None::<HashMap<String, String>>).unwrap()).unwrap();
}

#[test]
fn datasets_and_prompts() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "run"]).ok();
    let good: &[f32] = &[0.5; 12];
    let cases: [(&str, &[Named<'_>], &str); 6] = [
        ("no_ys", &[("xs", &[2, 3, 2], good)], "ys"),
        ("shape", &[("xs", &[2, 3, 2], good), ("ys", &[3, 2], &good[..6])], "[3, 2]"),
        ("empty", &[("xs", &[0, 3, 2], &[]), ("ys", &[0, 3], &[])], "empty"),
        ("nan", &[("xs", &[2, 3, 2], good), ("ys", &[2, 3], &[0.0, 1.0, f32::NAN, 0.0, 0.0, 0.0])], "NaN"),
        ("wide", &[("xs", &[2, 2, 3], good), ("ys", &[2, 2], &good[..4])], "n_dims"),
        ("long", &[("xs", &[1, 6, 2], good), ("ys", &[1, 6], &good[..6])], "n_positions"),
    ];
    for (name, tensors, part) in cases {
        let file = format!("{name}.safetensors");
        write(&place.path(&file), tensors);
        let task = format!("task={{type=\"dataset\",path=\"{file}\"}}");
        place.looped(&["run", "tiny.toml", &task]).fails(2, &[&file, part]);
        place
            .looped(&["predict", "run", "--data", &file, "--loops", "2", "--out", "p.safetensors"])
            .fails(2, &[&file, part]);
        assert!(!place.path("p.safetensors").exists());
    }
    place
        .looped(&["run", "tiny.toml", "task={type=\"dataset\",path=\"gone.safetensors\"}"])
        .fails(2, &["gone.safetensors"]);
    // A file without an end is not read to it.
    #[cfg(unix)]
    place
        .looped(&["predict", "run", "--data", "/dev/zero", "--loops", "2", "--out", "p"])
        .fails(2, &["--data /dev/zero: is not a safetensors file"]);
    fs::write(place.path("text.safetensors"), "not tensors").unwrap();
    place
        .looped(&["predict", "run", "--data", "text.safetensors", "--loops", "2", "--out", "p"])
        .fails(2, &["text.safetensors"]);
}

/// `looped schema | head -1`: the schema is longer than a pipe holds.
#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_panic() {
    use std::io::Read;
    use std::process::{Command, Stdio};

    let mut child = Command::new(env!("CARGO_BIN_EXE_looped"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
    assert!(!child.wait().unwrap().success());
}
