//! The driver layer and a whole training step on a fake GPU (`tests/shim/fake_cuda.cpp`): the same host code and the same
//! kernels as on a real one, compared with the model in f64.

#[path = "../examples/gpu_kernels/checks.rs"]
mod checks;
mod fake;
#[path = "fake_device/looped.rs"]
mod looped;
#[allow(dead_code, reason = "shared with the bench")]
#[path = "../examples/gpu_step/model.rs"]
mod model;
#[allow(dead_code, reason = "shared with the bench")]
#[path = "../examples/gpu_step/operations.rs"]
mod operations;
#[path = "../examples/gpu_kernels/reference.rs"]
mod reference;

use looped_gpu::calls::Cores;
use looped_gpu::{Arena, Device, Math, Options, Program, Source, Storage};
use model::{Shape, Values};
use operations::{Step, Ways};

const TINY: Shape = Shape {
    width: 64,
    heads: 4,
    dims: 4,
    batch: 2,
    tokens: 7,
    loops: 3,
    window: 2,
    positions: 11,
    kept_from: 0,
};

#[test]
fn a_step_in_f32_is_the_model_s_and_a_graph_replays_it_to_the_bit() {
    fake::passes("inner_step_in_f32", &[]);
}

#[test]
fn a_step_in_tf32_is_near_the_model_s() {
    fake::passes("inner_step_in_tf32", &[]);
    fake::passes("inner_step_in_tf32", &[("FAKE_CUBLAS_ROUNDS", "1")]);
}

#[test]
fn tokens_that_drop_their_state_do_so_forward_and_backward() {
    fake::passes("inner_step_of_the_last_4_tokens", &[]);
}

#[test]
fn a_step_in_bf16_is_near_the_model_s() {
    fake::passes("inner_step_in_bf16", &[]);
}

#[test]
fn norms_clipping_weight_decay_and_the_scan_are_those_of_f64() {
    fake::passes("inner_kernels_in_f32", &[]);
    fake::passes("inner_kernels_in_bf16", &[]);
}

#[test]
fn what_a_machine_lacks_is_told_in_one_line() {
    let Some(folder) = fake::libraries() else { return };
    for (setting, value, told) in [
        ("FAKE_CUDA_DEVICES", "0", "there is no cuda:0: the driver sees no GPU"),
        (
            "FAKE_CUDA_VERSION",
            "12040",
            "the NVIDIA driver is for CUDA 12.4, and this program needs 12.8: update the driver",
        ),
        (
            "FAKE_CUDA_VERSION",
            "12090",
            "the NVIDIA driver is for CUDA 12.9, and this machine's NVRTC needs 13.1",
        ),
        (
            "FAKE_CUDA_CAPABILITY",
            "75",
            "a fake GPU has compute capability 7.5; the kernels need 8.0 (Ampere) or newer",
        ),
        (
            "FAKE_CUDA_MEMORY",
            "34000000",
            "MB of GPU memory are needed, and 0 of 32 MB are free on a fake GPU",
        ),
    ] {
        let output = fake::under(folder, "inner_opening", &[(setting, value)]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(told), "{setting}={value}: {text}");
    }
}

#[test]
fn kernels_are_compiled_once_and_a_failure_shows_the_compiler_s_words() {
    let Some(folder) = fake::libraries() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    let told = |settings: &[(&str, &str)]| {
        let output = fake::under_cached(folder, cache.path(), "inner_compiling", settings);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = told(&[("FAKE_NVRTC_FAILS", "1")]);
    assert!(text.contains("the kernels don't compile for sm_90:\nfake"), "{text}");
    assert!(told(&[]).contains("compiled"));
    assert!(told(&[("FAKE_NVRTC_FAILS", "1")]).contains("compiled"), "the cache isn't used");
    // Half a file isn't used: it is compiled anew, and kept.
    let files =
        || std::fs::read_dir(cache.path()).expect("a folder").map(|file| file.expect("a file").path());
    assert!(files().count() > 0);
    for file in files() {
        let bytes = std::fs::read(&file).expect("a file");
        std::fs::write(file, &bytes[..bytes.len() / 2]).expect("a file");
    }
    assert!(told(&[("FAKE_NVRTC_FAILS", "1")]).contains("don't compile"), "damaged kernels are used");
    assert!(told(&[]).contains("compiled"));
    assert!(told(&[("FAKE_NVRTC_FAILS", "1")]).contains("compiled"), "what was compiled anew isn't kept");
}

#[test]
fn where_no_kernels_can_be_kept_they_are_compiled_each_time() {
    let Some(folder) = fake::libraries() else { return };
    let file = tempfile::NamedTempFile::new().expect("a file");
    // No folder can be made within a file, whoever runs the tests.
    let output = fake::under_cached(folder, &file.path().join("kernels"), "inner_compiling", &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("compiled"), "{output:?}");
}

#[test]
fn how_a_product_is_done_is_asked_once_for_each_shape() {
    let Some(folder) = fake::libraries() else { return };
    let file = tempfile::NamedTempFile::new().expect("a file");
    let asked = |settings: &[(&str, &str)]| {
        let path = file.path().to_str().expect("a name");
        let output =
            fake::under(folder, "inner_products", &[&[("FAKE_CUBLAS_TELLS", path)], settings].concat());
        let asked = std::fs::read_to_string(file.path()).expect("a file");
        (asked.trim().to_owned(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (often, told) = asked(&[]);
    assert!(often == "2" && told.contains("planned"), "{often}: {told}");
    let (_, told) = asked(&[("FAKE_CUBLAS_KNOWS_NOTHING", "1")]);
    assert!(told.contains("cuBLASLt knows no way to do the product forward 4 x 8 x 8"), "{told}");
}

#[test]
#[ignore = "run by the test above, under the fake libraries"]
fn inner_products() {
    let device = Device::open(0).expect("a device");
    let mut layout = looped_gpu::Layout::default();
    let mut product = |rows: usize| {
        let [left, right, out] = [rows * 8, 64, rows * 8].map(|len| layout.floats(len));
        looped_gpu::Operation::Product(looped_gpu::Product {
            form: looped_gpu::Form::Forward,
            math: Math::F32,
            rows,
            outputs: 8,
            inputs: 8,
            left,
            right,
            bias: None,
            start: None,
            out,
        })
    };
    let all = [product(4), product(4), product(6), product(4)];
    let arena = Arena::new(&device, layout.bytes()).expect("an arena");
    // In the next program, too.
    for _ in 0..2 {
        match Program::new(&arena, &all, Options::default()) {
            Ok(_) => println!("planned"),
            Err(error) => println!("{error}"),
        }
    }
}

#[test]
#[ignore = "run by the test above, under the fake libraries"]
fn inner_compiling() {
    let device = Device::open(0).expect("a device");
    let arena = Arena::new(&device, 256).expect("an arena");
    let source = Source { width: 64, head: 16, storage: Storage::F32 };
    let span = looped_gpu::Layout::default().floats(64);
    let calls = looped_gpu::calls::Calls { source };
    match Program::new(&arena, &[calls.fill_rows(span, 1.0).expect("a call")], Options::default()) {
        Ok(_) => println!("compiled"),
        Err(error) => println!("{error}"),
    }
}

#[test]
#[ignore = "run by the tests above, under the fake libraries"]
fn inner_opening() {
    let made = Device::open(0).and_then(|device| Arena::new(&device, 1 << 40).map(drop));
    println!("{}", made.expect_err("something is lacking"));
}

/// Loss, predictions and gradients, asked for one by one and then replayed by a graph.
fn run(shape: Shape, ways: Ways, values: &Values) -> (Step, Arena, [Vec<f32>; 3]) {
    let device = Device::open(0).expect("a device");
    let step = Step::new(shape, ways).expect("a step");
    let arena = Arena::new(&device, step.bytes).expect("an arena");
    let program = Program::new(&arena, &step.operations, Options::default()).expect("a program");
    let prepare = Program::new(&arena, &step.prepare, Options::default()).expect("a program");
    let read =
        || [step.loss, step.predictions, step.gradients].map(|span| arena.read_floats(span).expect("floats"));
    let start = || {
        step.fill(&arena, values).expect("values");
        prepare.run().expect("prepared");
    };
    start();
    program.run_slowly().expect("a run");
    let slowly = read();
    start();
    let graph = program.capture(0..program.len()).expect("a graph");
    graph.replay().expect("a replay");
    let replayed = read();
    let bits =
        |values: &[Vec<f32>; 3]| -> Vec<u32> { values.iter().flatten().map(|v| v.to_bits()).collect() };
    assert_eq!(bits(&slowly), bits(&replayed), "a replay gives other bits");
    (step, arena, replayed)
}

fn compare(shape: Shape, ways: Ways, near: f64) {
    let mut values = Values::random(shape);
    looped::shake(shape, &mut values);
    let (step, arena, [loss, predictions, _]) = run(shape, ways, &values);
    let model = looped::Model::new(shape, &values);
    let (want_loss, want_predictions) = model.run(&model.parameters);
    assert!((f64::from(loss[0]) - want_loss).abs() <= near * want_loss, "loss {} {want_loss}", loss[0]);
    let size = want_predictions.iter().map(|p| p * p).sum::<f64>().sqrt();
    let off: f64 = predictions.iter().zip(&want_predictions).map(|(p, w)| (f64::from(*p) - w).powi(2)).sum();
    assert!(off.sqrt() <= near * size, "predictions are off by {}", off.sqrt() / size);
    // Along each parameter's own gradient, and along a random direction, the loss changes as the gradient says.
    for (index, (name, _)) in shape.parameters().into_iter().enumerate() {
        let gradient: Vec<f64> = arena
            .read_floats(step.parts(step.gradients)[index])
            .expect("floats")
            .into_iter()
            .map(f64::from)
            .collect();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!(norm > 0.0, "{name} has no gradient");
        let along: Vec<f64> = gradient.iter().map(|g| g / norm).collect();
        let count = (gradient.len() as f64).sqrt();
        let across: Vec<f64> =
            (0..gradient.len()).map(|i| if (i * i / 3 + i) % 2 == 0 { 1.0 } else { -1.0 } / count).collect();
        for direction in [along, across] {
            let slope = model.slope(index, &direction);
            let told: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            assert!(
                (slope - told).abs() <= 10.0 * near * norm,
                "{name}: slope {slope}, by the gradient {told}, norm {norm}"
            );
        }
    }
}

#[test]
#[ignore = "run by the tests above, under the fake libraries"]
fn inner_step_in_f32() {
    compare(TINY, Ways { math: Math::F32, attention: Cores::Plain }, 2e-6);
}

#[test]
#[ignore = "run by the tests above, under the fake libraries"]
fn inner_step_in_tf32() {
    // Unless it is told to, the fake cuBLASLt doesn't round: then what is off is attention.
    compare(TINY, Ways { math: Math::Tf32, attention: Cores::Tensor }, 1e-3);
}

#[test]
#[ignore = "run by the tests above, under the fake libraries"]
fn inner_step_of_the_last_4_tokens() {
    compare(Shape { kept_from: 3, ..TINY }, Ways { math: Math::F32, attention: Cores::Plain }, 2e-6);
}

#[test]
#[ignore = "run by the tests above, under the fake libraries"]
fn inner_step_in_bf16() {
    compare(TINY, Ways { math: Math::Bf16, attention: Cores::Tensor }, 1e-2);
}

/// What the example `gpu_kernels` does on a card.
fn check_kernels(storage: Storage) {
    let device = Device::open(0).expect("a device");
    let bench = checks::Bench::new(&device, Source { width: 64, head: 16, storage }, 1);
    let found = bench.all(checks::Shapes::SMALL).expect("the kernels run");
    let failed: Vec<String> = found.iter().filter(|one| !one.good()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(found.len(), 96);
}

#[test]
#[ignore = "run by the tests above, under the fake libraries"]
fn inner_kernels_in_f32() {
    check_kernels(Storage::F32);
}

#[test]
#[ignore = "run by the tests above, under the fake libraries"]
fn inner_kernels_in_bf16() {
    check_kernels(Storage::Bf16);
}
