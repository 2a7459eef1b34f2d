//! The users' program on a fake GPU: a recurrence trains and resumes there, what it takes of memory, what `auto` takes, and what is said
//! where something is missing or gives way.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

mod common;
#[path = "../../gpu/tests/fake/mod.rs"]
mod fake;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Place, Ran};
use serde_json::Value;

/// A recurrence of which the tokens before the last three never change.
const LSTM: [&str; 3] =
    ["model.block={type=\"lstm\"}", "model.injector={type=\"last_n\",n=3}", "evaluation.prompts=8"];

/// Runs the program with the fake libraries of a folder, and settings.
fn on_gpu(place: &Place, folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Ran {
    let output = place
        .command(arguments)
        .env("LD_LIBRARY_PATH", folder)
        .env("LOOPED_KERNELS", Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels-of-the-program"))
        .env_remove("LOOPED_DEVICE")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn losses(place: &Place, run: &str) -> Vec<f64> {
    let text = place.read(&format!("{run}/metrics.jsonl"));
    let of = |line: &str| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap();
    text.lines().map(of).collect()
}

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "tiny.toml"], &LSTM[..], more].concat()
}

#[test]
fn a_recurrence_trains_on_the_gpu_as_on_the_cpu_and_goes_on_to_the_same_bits() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    place.looped(&run(&["--device", "cpu", "--out", "cpu"])).ok();
    let whole = on_gpu(&place, folder, &run(&["--device", "cuda:0", "--out", "gpu"]), &[]).ok();
    assert!(whole.stderr.contains("engine: cuda, on cuda:0\n"), "{}", whole.stderr);
    let (cpu, gpu) = (losses(&place, "cpu"), losses(&place, "gpu"));
    assert!(cpu.len() == gpu.len() && cpu.len() > 3);
    for (a, b) in cpu.iter().zip(&gpu) {
        assert!((a - b).abs() < 1e-5 * a, "{cpu:?} {gpu:?}");
    }
    let part = run(&["training.train_steps=6", "--device", "cuda:0", "--out", "part"]);
    on_gpu(&place, folder, &part, &[]).ok();
    // Where no device is named, on the one that it was on.
    let on = on_gpu(&place, folder, &["resume", "part", "training.train_steps=12"], &[]).ok();
    let told = "engine: cuda, on cuda:0 (--device auto: a fake GPU, as in the session before)";
    assert!(on.stderr.contains(told), "{}", on.stderr);
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let of = |run: &str| fs::read(place.path(run).join("checkpoints/last").join(file)).unwrap();
        assert!(of("part") == of("gpu"), "{file}");
    }
    // With another driver, too, and it is said what has changed.
    let newer = [("FAKE_CUDA_VERSION", "13010")];
    let on = on_gpu(&place, folder, &["resume", "part", "training.train_steps=13"], &newer).ok();
    for words in
        ["differs from the one before: GPU a fake GPU, ", " driver for CUDA 13.0", " driver for CUDA 13.1"]
    {
        assert!(on.stderr.contains(words), "{words}: {}", on.stderr);
    }
    // It resumes on the CPU too, and says that the bits will differ.
    let without = [("FAKE_CUDA_DEVICES", "0")];
    let on = on_gpu(&place, folder, &["resume", "part", "training.train_steps=14"], &without).ok();
    let told = "on cpu (--device auto: the session before was on cuda:0, and no GPU can be used: ";
    assert!(on.stderr.contains(told), "{}", on.stderr);
    assert!(on.stderr.contains("The results can differ in their last bits"), "{}", on.stderr);
}

/// Parameters that each loop has of its own, and a way through the loops that is more than a window.
#[test]
fn what_goes_loop_by_loop_trains_on_the_gpu_as_on_the_cpu() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    let keys = [
        r#"model.block={type="transformer",n_head=2,lora={rank=2,loops=3,beyond="interpolate"}}"#,
        r#"training.unroll={type="phantom",loops=2,damping=0.5}"#,
        r#"training.regularizers=[{type="fixed_point",weight=0.1}]"#,
        "evaluation.prompts=8",
    ];
    let run = |device, out| [&["run", "tiny.toml", "--device", device, "--out", out], &keys[..]].concat();
    place.looped(&run("cpu", "cpu")).ok();
    let told = on_gpu(&place, folder, &run("cuda:0", "gpu"), &[]).ok();
    assert!(told.stderr.contains("engine: cuda, on cuda:0\n"), "{}", told.stderr);
    let (cpu, gpu) = (losses(&place, "cpu"), losses(&place, "gpu"));
    assert!(cpu.len() == gpu.len() && cpu.len() > 3);
    for (a, b) in cpu.iter().zip(&gpu) {
        assert!((a - b).abs() < 1e-5 * a, "{cpu:?} {gpu:?}");
    }
    let check = [&["check", "tiny.toml", "--device", "cuda:0"], &keys[..]].concat();
    assert!(place.looped(&check).ok().stdout.contains("# memory of the GPU, besides the driver's own: "));
}

#[test]
fn the_gpu_s_memory_is_told_before_it_is_taken() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    for (name, precision) in [("f32", "f32"), ("bf16", "bf16")] {
        for block in [&[][..], &LSTM[..2]] {
            let precision = format!("training.precision={precision}");
            let more = [block, &["model.n_embd=16", "training.batch_size=16", &precision]].concat();
            let check = [&["check", "tiny.toml", "--device", "cuda:0", "--json"], &more[..]].concat();
            // For this no GPU is needed.
            let told: Value = serde_json::from_str(&place.looped(&check).ok().stdout).unwrap();
            let told = told["gpu_memory_bytes"].as_f64().unwrap();
            let file = place.path("taken");
            let out = format!("{name}{}", block.len());
            let run = [&["run", "tiny.toml", "--device", "cuda:0", "--out", &out], &more[..]].concat();
            on_gpu(&place, folder, &run, &[("FAKE_CUDA_TELLS", file.to_str().unwrap())]).ok();
            let taken: f64 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
            // What products are worked out in is most of it here.
            let always = f64::from(32 << 20);
            let ratio = (told - always) / (taken - always);
            assert!((0.8..1.2).contains(&ratio), "{more:?}: {told} told, {taken} taken");
        }
    }
    let text = place.looped(&["check", "tiny.toml", "--device", "cuda:0"]).ok().stdout;
    assert!(text.contains("# memory of the GPU, besides the driver's own: "), "{text}");
}

/// Of a training on the GPU: allocations, copies there, copies back, their bytes, launches of kernels, launches of graphs.
fn counts(place: &Place, folder: &Path, steps: usize) -> [i64; 6] {
    let (file, out) = (place.path("counts"), format!("run{steps}"));
    let steps = format!("training.train_steps={steps}");
    let shape = ["points", "loops"].map(|of| format!("training.curriculum.{of}.start=4"));
    let shape = [&shape[0], &shape[1], "training.curriculum.points.end=4"];
    let rare = ["training.save_every_steps=1000", "training.log_every_steps=1000", "evaluation.prompts=8"];
    let more = ["run", "tiny.toml", "--device", "cuda:0", "--out", &out, &steps];
    let arguments = [&more[..], &shape, &rare].concat();
    on_gpu(place, folder, &arguments, &[("FAKE_CUDA_COUNTS", file.to_str().unwrap())]).ok();
    let text = fs::read_to_string(file).unwrap();
    let all: Vec<i64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    all.try_into().unwrap()
}

#[test]
fn a_step_is_one_graph_and_one_small_copy_back_and_allocates_nothing() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    let (few, many) = (counts(&place, folder, 6), counts(&place, folder, 16));
    let each: Vec<i64> = few.iter().zip(&many).map(|(few, many)| many - few).collect();
    // Prompts, targets, what Adam goes by and a prediction's share in the loss go there; the loss and what Adam decided come back.
    assert_eq!(each, [0, 40, 10, 280, 0, 10]);
}

/// So many prompts that a step takes more than the evaluation.
const BATCH: &str = "training.batch_size=16";

/// A run that ends early leaves a checkpoint, after so many steps at least, from which the CPU resumes.
fn gives_way(setting: (&str, &str), told: &str, least: u64) {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    let arguments = run(&[BATCH, "training.save_every_steps=2", "--device", "cuda:0", "--out", "run"]);
    on_gpu(&place, folder, &arguments, &[setting]).fails(1, &[told, "The run directory is run"]);
    let steps = || {
        let state: Value = serde_json::from_str(&place.read("run/checkpoints/last/state.json")).unwrap();
        state["step"].as_u64().unwrap()
    };
    assert!((least..12).contains(&steps()), "{}", steps());
    let on = place.looped(&["resume", "run", "--device", "cpu"]).ok();
    assert!(on.stderr.contains("The results can differ in their last bits"), "{}", on.stderr);
    assert_eq!(steps(), 12);
}

#[test]
fn a_run_whose_memory_runs_out_goes_on_on_the_cpu() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    let file = place.path("taken");
    let told = [("FAKE_CUDA_TELLS", file.to_str().unwrap())];
    on_gpu(&place, folder, &run(&[BATCH, "--device", "cuda:0", "--out", "run"]), &told).ok();
    let taken: usize = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    gives_way(("FAKE_CUDA_MEMORY", &(taken - 1).to_string()), "MB of GPU memory are needed", 6);
}

#[test]
fn a_run_whose_card_is_lost_goes_on_on_the_cpu() {
    gives_way(("FAKE_CUDA_LOST_AFTER", "700"), "the driver says ", 2);
}

#[test]
fn what_is_missing_is_told_in_one_line() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    let told = |folder: &Path, device: &str, settings: &[(&str, &str)], words: &str| {
        let arguments = ["run", "tiny.toml", "--device", device, "--out", "run"];
        let ran = on_gpu(&place, folder, &arguments, settings);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
        ran.fails(2, &[&format!("--device {device}: "), words]);
        assert!(!place.path("run").exists());
    };
    let without = |library: &str| -> PathBuf {
        let some = place.path(&format!("without {library}"));
        fs::create_dir(&some).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("lib") && !name.starts_with(library) {
                fs::copy(entry.path(), some.join(name)).unwrap();
            }
        }
        some
    };
    told(&without("libcuda."), "cuda:0", &[], " is not on this machine: none of libcuda.so");
    told(&without("libcublasLt"), "cuda:0", &[], " is not on this machine: none of libcublasLt");
    told(&without("libnvrtc"), "cuda:0", &[], " is not on this machine: none of libnvrtc");
    told(
        folder,
        "cuda:7",
        &[("FAKE_CUDA_DEVICES", "2")],
        "there is no cuda:7: the 2 GPUs are cuda:0 to cuda:1",
    );
    told(folder, "cuda:0", &[("FAKE_CUDA_DEVICES", "0")], "the driver sees no GPU");
    told(folder, "cuda:0", &[("FAKE_CUDA_VERSION", "12040")], "for CUDA 12.4, and this program needs 12.8");
    told(folder, "cuda:0", &[("FAKE_CUDA_CAPABILITY", "75")], "compute capability 7.5; the kernels need 8.0");
}

/// What makes a step as large as the study's.
const LARGE: &[&str] = &[
    "training.threads=2",
    "training.n_loop_window=20",
    "training.curriculum.loops.end=30",
    "training.curriculum.points.end=41",
    "model.n_positions=41",
];

#[test]
fn auto_takes_the_device_that_is_expected_to_be_faster() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    // A tiny model on few prompts stays on the CPU, and the line says why.
    let tiny = on_gpu(&place, folder, &["run", "tiny.toml", "--out", "run"], &[]).ok();
    assert!(
        tiny.stderr.contains("engine: fused, on cpu (--device auto: a step is expected to take "),
        "{}",
        tiny.stderr
    );
    let large =
        ["check", "tiny.toml", "model.n_embd=256", "training.batch_size=64", "training.train_steps=20000"];
    let large = [&large[..], LARGE].concat();
    let taken = on_gpu(&place, folder, &large, &[]).ok().stdout;
    assert!(
        taken.contains("# engine: cuda\n# device: cuda:0 (--device auto: a step is expected to take "),
        "{taken}"
    );
    assert!(taken.contains(" on a fake GPU, and "), "{taken}");
    // Without a GPU the CPU is taken.
    let json = |settings: &[(&str, &str)], more: &[&str]| -> Value {
        let arguments = [&large[..], more, &["--json"]].concat();
        serde_json::from_str(&on_gpu(&place, folder, &arguments, settings).ok().stdout).unwrap()
    };
    assert_eq!(json(&[], &[])["device"], "cuda:0");
    assert_eq!(json(&[("FAKE_CUDA_DEVICES", "0")], &[])["device"], "cpu");
    // And for what the CUDA engine has no kernel for.
    assert_eq!(json(&[], &["--device", "cpu"])["device"], "cpu");
    // Before anything is estimated it is looked whether there is a GPU.
    for (settings, words) in [
        (&[("FAKE_CUDA_DEVICES", "0")], "there is no cuda:0: the driver sees no GPU"),
        (&[("LD_LIBRARY_PATH", "")], "the NVIDIA driver is not on this machine"),
    ] {
        let out = format!("without {}", words.len());
        let told = on_gpu(&place, folder, &["run", "tiny.toml", "--out", &out], settings).ok().stderr;
        assert!(told.contains(&format!("engine: fused, on cpu (--device auto: {words})\n")), "{told}");
    }
}

/// A step of a million loops is put together by nobody who only wants to know how long it would take.
#[test]
fn what_auto_takes_is_known_at_once_however_many_the_loops() {
    let Some(folder) = fake::libraries() else { return };
    let place = Place::new();
    let begun = std::time::Instant::now();
    let loops = ["start", "end"].map(|end| format!("training.curriculum.loops.{end}=1000000"));
    let deep = ["check", "tiny.toml", &loops[0], &loops[1]];
    on_gpu(&place, folder, &deep, &[]).ok();
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
