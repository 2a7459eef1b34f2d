//! Order, cuts and splits; a message for everything that can be wrong with a file.

use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use super::*;
use crate::checks::{DIMS, request};

/// What is wrong with prompts of this task for a model of 8 coordinates and 12 points.
fn reports(task: &Dataset) -> String {
    let mut problems = Problems::new();
    for split in [Split::Train, Split::Evaluation] {
        if split == Split::Train || task.validation_path.is_some() {
            task.check(&DIMS, Request { split, ..request(1, 1, 8, 8) }, &mut problems);
        }
    }
    problems.to_string()
}

/// Writes a file of tensors, each f32 unless said otherwise, and gives its path.
fn write(dir: &TempDir, name: &str, tensors: &[(&str, &[usize], &[f32])]) -> PathBuf {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views: BTreeMap<&str, TensorView<'_>> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()))
        .collect();
    let path = dir.path().join(name);
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    path
}

/// `count` prompts of 3 points with 2 coordinates; y is 10 times the prompt's number, plus `offset`, plus the point's.
fn numbered(dir: &TempDir, name: &str, count: usize, offset: f32) -> PathBuf {
    let xs: Vec<f32> = (0..count * 6).map(|i| i as f32 + 1.0).collect();
    let ys: Vec<f32> = (0..count * 3).map(|i| (10 * (i / 3) + i % 3) as f32 + offset).collect();
    write(dir, name, &[("xs", &[count, 3, 2], &xs), ("ys", &[count, 3], &ys)])
}

/// The numbers of the prompts that a task gives after `first` others.
fn order(task: &Dataset, first: u64, prompts: usize) -> Vec<usize> {
    let request = Request { first, ..request(prompts, 1, 2, 2) };
    let drawn = task.sample(request, &mut Rng::stream(first, "anything", 0)).unwrap();
    drawn.ys.iter().map(|y| *y as usize / 10).collect()
}

#[test]
fn prompts_come_in_file_order_and_start_over() {
    let dir = TempDir::new().unwrap();
    let task = Dataset::new(numbered(&dir, "train", 5, 0.0));
    assert_eq!(order(&task, 0, 4), [0, 1, 2, 3]);
    assert_eq!(order(&task, 4, 8), [4, 0, 1, 2, 3, 4, 0, 1]);
    assert_eq!(order(&task, 5_000_000_003, 2), [3, 4]);
}

#[test]
fn a_shuffled_epoch_holds_every_prompt_once_whatever_the_batches() {
    let dir = TempDir::new().unwrap();
    let shuffled = |seed| {
        let mut task = Dataset::new(numbered(&dir, "train", 20, 0.0));
        (task.shuffle, task.shuffle_seed) = (true, seed);
        task
    };
    let task = shuffled(0);
    let whole = order(&task, 0, 60);
    for epoch in whole.chunks(20) {
        let mut sorted = epoch.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
    assert_ne!(whole[..20], whole[20..40], "two epochs have one order");
    let batches: Vec<usize> = (0..60).step_by(6).flat_map(|first| order(&task, first, 6)).collect();
    assert_eq!(batches, whole);
    // Going on in another process, at a later step first.
    assert_eq!(order(&shuffled(0), 33, 27), whole[33..]);
    assert_ne!(order(&shuffled(1), 0, 60), whole);
}

#[test]
fn points_and_dims_cut_the_prompts() {
    let dir = TempDir::new().unwrap();
    let task = Dataset::new(numbered(&dir, "train", 2, 0.0));
    let cut = task.sample(request(2, 2, 1, 2), &mut Rng::stream(0, "test", 0)).unwrap();
    assert_eq!(cut.xs, [1.0, 0.0, 3.0, 0.0, 7.0, 0.0, 9.0, 0.0]);
    assert_eq!(cut.ys, [0.0, 1.0, 10.0, 11.0]);
    assert_eq!((cut.prompts, cut.points, cut.n_dims), (2, 2, 2));
}

#[test]
fn prompts_to_score_on_are_those_of_the_validation_file_or_the_training_file_in_order() {
    let dir = TempDir::new().unwrap();
    let mut task = Dataset::new(numbered(&dir, "train", 4, 0.0));
    task.shuffle = true;
    let scored_on = |task: &Dataset| {
        let request = Request { split: Split::Evaluation, first: 1, ..request(3, 1, 2, 2) };
        task.sample(request, &mut Rng::stream(0, "test", 0)).unwrap().ys
    };
    assert_eq!(scored_on(&task), [10.0, 20.0, 30.0]);
    task.validation_path = Some(numbered(&dir, "validation", 2, 500.0));
    assert_eq!(scored_on(&task), [510.0, 500.0, 510.0]);
}

#[test]
fn a_request_that_the_file_cannot_serve_names_both_numbers() {
    let dir = TempDir::new().unwrap();
    let path = numbered(&dir, "train", 4, 0.0);
    let task = Dataset::new(&path);
    let fails = |request| task.sample(request, &mut Rng::stream(0, "test", 0)).unwrap_err().to_string();
    let path = path.display();
    assert_eq!(
        fails(request(1, 7, 2, 2)),
        format!("data: 7 points a prompt are asked for, and {path} has 3")
    );
    assert_eq!(
        fails(request(1, 3, 2, 5)),
        format!("data: 5 coordinates of x are asked for, and {path} has 2")
    );
}

#[test]
fn a_good_file_is_no_problem() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "good", &[("xs", &[1, 2, 8], &[0.5; 16]), ("ys", &[1, 2], &[1.0; 2])]);
    assert_eq!(reports(&Dataset::new(path)), "");
}

/// Every way in which a file can be unfit, each named. The model has 8 coordinates and 12 points.
#[test]
fn unfit_files_are_reported() {
    let dir = TempDir::new().unwrap();
    let tensors = |tensors: &[(&str, &[usize], &[f32])]| write(&dir, "data", tensors);
    let finds = |path: PathBuf, expected: &str| {
        let found = reports(&Dataset::new(&path));
        let expected = expected.replace("FILE", &path.display().to_string());
        assert!(found.starts_with(&format!("path: {expected}")), "{found}\nexpected {expected}");
    };
    finds(dir.path().join("absent"), "FILE cannot be read: No such file");
    finds(dir.path().to_owned(), "FILE cannot be read: ");
    std::fs::write(dir.path().join("text"), "x,y\n1,2\n").unwrap();
    finds(dir.path().join("text"), "FILE is not a safetensors file");
    std::fs::write(dir.path().join("nothing"), "").unwrap();
    finds(dir.path().join("nothing"), "FILE is not a safetensors file");
    let whole = std::fs::read(numbered(&dir, "whole", 3, 0.0)).unwrap();
    std::fs::write(dir.path().join("cut"), &whole[..whole.len() - 8]).unwrap();
    finds(dir.path().join("cut"), "FILE is not a safetensors file");

    finds(
        tensors(&[("x", &[1, 1, 8], &[0.0; 8]), ("ys", &[1, 1], &[0.0])]),
        "FILE has no tensor `xs`; it needs xs (N, n, d) and ys (N, n), and holds x, ys",
    );
    finds(tensors(&[]), "FILE has no tensor `xs`; it needs xs (N, n, d) and ys (N, n), and holds nothing");
    finds(tensors(&[("xs", &[1, 1, 8], &[0.0; 8])]), "FILE has no tensor `ys`; ");
    finds(
        tensors(&[("xs", &[1, 8], &[0.0; 8]), ("ys", &[1, 1], &[0.0])]),
        "FILE xs has shape [1, 8], expected 3 axes",
    );
    finds(
        tensors(&[("xs", &[2, 1, 8], &[0.0; 16]), ("ys", &[1, 1], &[0.0])]),
        "FILE xs has shape [2, 1, 8] and ys [1, 1]; ys must have shape [2, 1], a y for every x",
    );
    finds(tensors(&[("xs", &[0, 3, 8], &[]), ("ys", &[0, 3], &[])]), "FILE is empty: xs has shape [0, 3, 8]");
    let mut xs = [0.0; 32];
    (xs[21], xs[30]) = (f32::NAN, f32::INFINITY);
    finds(
        tensors(&[("xs", &[2, 2, 8], &xs), ("ys", &[2, 2], &[0.0; 4])]),
        "FILE xs[1, 0, 5] is NaN; every value must be finite",
    );
    finds(
        tensors(&[("xs", &[2, 2, 8], &[0.0; 32]), ("ys", &[2, 2], &[0.0, 0.0, f32::NEG_INFINITY, 0.0])]),
        "FILE ys[1, 0] is -inf; every value must be finite",
    );
    finds(
        tensors(&[("xs", &[1, 13, 2], &[0.0; 26]), ("ys", &[1, 13], &[0.0; 13])]),
        "FILE has x of 2 coordinates, and model.n_dims is 8\n\
         path: FILE has prompts of 13 points, more than model.n_positions, 12",
    );

    let halves = TensorView::new(Dtype::F16, vec![1, 1, 8], &[0; 16]).unwrap();
    let path = dir.path().join("halves");
    std::fs::write(&path, safetensors::serialize([("xs", halves)], None).unwrap()).unwrap();
    finds(path, "FILE xs has type F16, expected F32 or F64");
}

#[test]
fn numbers_in_64_bits_are_rounded() {
    let dir = TempDir::new().unwrap();
    let bytes = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let written = |y: f64| {
        let (xs, ys) = (bytes(&[0.1; 8]), bytes(&[y]));
        let view = |shape: &[usize], bytes| TensorView::new(Dtype::F64, shape.to_vec(), bytes).unwrap();
        let path = dir.path().join(format!("{y:e}"));
        let tensors = [("xs", view(&[1, 1, 8], &xs)), ("ys", view(&[1, 1], &ys))];
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        Dataset::new(path)
    };
    let task = written(1.0 / 3.0);
    assert_eq!(reports(&task), "");
    let drawn = task.sample(request(1, 1, 8, 8), &mut Rng::stream(0, "anything", 0)).unwrap();
    assert_eq!((drawn.xs, drawn.ys), (vec![0.1f32; 8], vec![1.0f32 / 3.0]));
    assert!(reports(&written(1e39)).ends_with("ys[0, 0] is inf; every value must be finite"));
}

#[test]
fn the_validation_file_is_opened_too() {
    let dir = TempDir::new().unwrap();
    let mut task = Dataset::new(numbered(&dir, "train", 1, 0.0));
    task.validation_path = Some(dir.path().join("absent"));
    let found = reports(&task);
    assert!(found.starts_with("path: ") && found.contains("\nvalidation_path: "), "{found}");
}

/// The file of a finished run may have moved.
#[test]
fn settings_are_validated_without_the_files() {
    assert_eq!(crate::checks::reports(&Dataset::new("/nowhere/absent")), "");
}

#[test]
fn a_file_with_fewer_points_than_a_stage_takes_is_reported_before_the_training() {
    let dir = TempDir::new().unwrap();
    let mut task = Dataset::new(numbered(&dir, "train", 4, 0.0));
    task.validation_path = Some(numbered(&dir, "validation", 4, 0.0));
    let dims = ModelDims { n_dims: 2, ..DIMS };
    let finds = |split, points, expected: &str| {
        let mut problems = Problems::new();
        task.check(&dims, Request { split, ..request(1, points, 2, 2) }, &mut problems);
        let found = problems.to_string();
        assert!(found.starts_with(expected), "{found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{found}");
    };
    finds(Split::Train, 3, "");
    finds(Split::Train, 4, "path: 4 points a prompt are asked for, and ");
    finds(Split::Evaluation, 4, "validation_path: 4 points a prompt are asked for, and ");
}

#[test]
fn the_number_of_prompts_to_score_is_that_of_the_file() {
    let dir = TempDir::new().unwrap();
    let mut task = Dataset::new(numbered(&dir, "train", 4, 0.0));
    assert_eq!(task.count(Split::Evaluation).unwrap(), Some(4));
    assert!(task.scores_on_training_prompts());
    task.validation_path = Some(numbered(&dir, "validation", 2, 500.0));
    assert_eq!([Split::Train, Split::Evaluation].map(|split| task.count(split).unwrap()), [Some(4), Some(2)]);
    assert!(!task.scores_on_training_prompts());
}

#[test]
fn another_file_has_another_fingerprint() {
    let dir = TempDir::new().unwrap();
    let of = |count| {
        let task = Dataset::new(numbered(&dir, "train", count, 0.0));
        task.fingerprint().unwrap().unwrap()
    };
    let (one, two) = (of(4), of(5));
    assert_ne!(one, two);
    assert_eq!((of(4), one.len()), (one, 64));
}
