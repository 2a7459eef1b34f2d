//! The classical estimators that models are set beside: one a file.
//!
//! Each is fitted afresh on the first i points of a prompt and predicts point i, for every i; with no points it predicts
//! 0. There is no intercept: the function classes have none. Arithmetic is in f64, except in the net.

mod averaging;
mod boosting;
mod forest;
mod knn;
mod lasso;
mod least_squares;
mod net;
mod ridge;
mod tree;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use looped_core::{Baseline, ByLoop, Error, Kind, Part, Prompt, Prompts, Result, Watch};
use rayon::prelude::*;
use serde_json::json;

pub use averaging::Averaging;
pub use boosting::Boosting;
pub use knn::Knn;
pub use lasso::Lasso;
pub use least_squares::{LeastSquares, least_squares_weights};
pub use net::Net;
pub use ridge::Ridge;
pub use tree::Tree;

/// What every run is set beside: least squares, averaging and 3 nearest neighbours.
#[must_use]
pub fn default_baselines() -> Vec<Box<dyn Baseline>> {
    vec![Box::new(LeastSquares {}), Box::new(Averaging {}), Box::new(Knn { k: 3 })]
}

/// Those that cost little: the default ones, ridge with alpha 0.1, and the lasso with alpha 1, 0.1, ... 0.0001.
#[must_use]
pub fn linear_baselines() -> Vec<Box<dyn Baseline>> {
    let mut baselines = default_baselines();
    baselines.push(Box::new(Ridge { alpha: 0.1 }));
    for alpha in [1.0, 0.1, 0.01, 0.001, 0.0001] {
        baselines.push(Box::new(Lasso { alpha }));
    }
    baselines
}

/// All of this crate at their default settings; the trees and the net take minutes for a full evaluation.
#[must_use]
pub fn all_baselines() -> Vec<Box<dyn Baseline>> {
    let mut baselines = linear_baselines();
    baselines.push(Box::new(Tree::default()));
    baselines.push(Box::new(Boosting::default()));
    baselines.push(Box::new(Net::default()));
    baselines
}

/// Baselines that other crates have registered, at their default settings; those with a key that must be given are left
/// out.
#[must_use]
pub fn plugin_baselines() -> Vec<Box<dyn Baseline>> {
    let foreign = Part::of(Kind::Baseline).into_iter().filter(|part| part.source != env!("CARGO_PKG_NAME"));
    // A table of nothing but its type: what doesn't read as a baseline needs more.
    foreign.filter_map(|part| serde_json::from_value(json!({ "type": part.tag })).ok()).collect()
}

/// Each baseline's name with its predictions of every y, (prompts, points) row-major, in parallel over prompts.
///
/// # Errors
/// If a fit fails; the message names the baseline.
pub fn baseline_predictions(
    prompts: &Prompts,
    baselines: &[Box<dyn Baseline>],
) -> Result<Vec<(String, Vec<f32>)>> {
    let of = |baseline: &dyn Baseline| {
        let name = baseline.name();
        match predictions_of(baseline, prompts, prompts.n_dims, &()) {
            Ok(predictions) => Ok((name, predictions)),
            Err(error) => Err(Error::Data(format!("baseline {name}: {}", reason(error)))),
        }
    };
    baselines.iter().map(|baseline| of(baseline.as_ref())).collect()
}

/// One baseline's predictions of every y, (prompts, points) row-major; it sees the first `dims` coordinates only.
///
/// # Errors
/// As [`of_each`].
pub(crate) fn predictions_of(
    baseline: &dyn Baseline,
    prompts: &Prompts,
    dims: usize,
    watch: &dyn Watch,
) -> Result<Vec<f32>> {
    let of_one = |prompt: Prompt<'_>| {
        let predictions = baseline.predict(prompt)?;
        expect("predictions for", predictions.len(), prompt.ys.len(), "points").map(|()| predictions)
    };
    Ok(of_each(prompts, dims, watch, of_one)?.concat())
}

/// The predictions of a baseline that takes a step for each of so many loops: of every y after the last one, (prompts, points), and of the last y of
/// each prompt after each, (prompts, loops).
///
/// # Errors
/// As [`of_each`].
pub(crate) fn predictions_by_loop(
    baseline: &dyn ByLoop,
    prompts: &Prompts,
    (dims, loops): (usize, usize),
    watch: &dyn Watch,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let of_one = |prompt: Prompt<'_>| {
        let mut after = baseline.predict_each(prompt, loops)?;
        expect("rows of predictions for", after.len(), loops, "loops")?;
        let mut last_query = Vec::with_capacity(loops);
        for predictions in &after {
            expect("predictions for", predictions.len(), prompt.ys.len(), "points")?;
            last_query.extend(predictions.last());
        }
        Ok((after.pop().unwrap_or_default(), last_query))
    };
    let (after_last, last_query): (Vec<_>, Vec<_>) =
        of_each(prompts, dims, watch, of_one)?.into_iter().unzip();
    Ok((after_last.concat(), last_query.concat()))
}

/// Refuses what a baseline says where there is less or more of it than there should be.
fn expect(what: &str, got: usize, expected: usize, of: &str) -> Result<()> {
    if got == expected { Ok(()) } else { Err(Error::Data(format!("{got} {what} {expected} {of}"))) }
}

/// What a baseline says of each prompt, which sees the first `dims` coordinates only.
///
/// A baseline that panics has failed as one that returns an error: it may be somebody else's, and the model's scores beside
/// it are hours of work.
///
/// # Errors
/// That of the first prompt where a fit fails, however many threads there are; or if `watch` wants to stop. After a panic
/// no other prompt is begun.
fn of_each<T: Send>(
    prompts: &Prompts,
    dims: usize,
    watch: &dyn Watch,
    predict: impl Fn(Prompt<'_>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let of_one = |i| {
        let (xs, ys) = prompts.get(i);
        let xs: Vec<f32> = xs.chunks(prompts.n_dims).flat_map(|x| &x[..dims]).copied().collect();
        predict(Prompt { xs: &xs, ys, dims })
    };
    let has_panicked = AtomicBool::new(false);
    let of_prompts: Vec<Option<Result<T>>> = (0..prompts.prompts)
        .into_par_iter()
        .map(|i| {
            if let Err(stopped) = watch.check() {
                return Some(Err(stopped));
            }
            if has_panicked.load(Ordering::Relaxed) {
                return None;
            }
            // What a panic has left half done belongs to the baseline, and that is not asked again.
            Some(catch_unwind(AssertUnwindSafe(|| of_one(i))).unwrap_or_else(|panic| {
                has_panicked.store(true, Ordering::Relaxed);
                Err(Error::Data(format!("it panicked: {}", message(panic.as_ref()))))
            }))
        })
        .collect();
    // Prompts that were left out have an error before or behind them.
    of_prompts.into_iter().flatten().collect()
}

/// What a panic says of itself.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// What went wrong, without the word that it is about the data.
pub(crate) fn reason(error: Error) -> String {
    match error {
        Error::Data(what) => what,
        error => error.to_string(),
    }
}

/// The predictions of an estimator that takes in a point at a time: `predict`s x from the points before it, then
/// `learn`s (x, y).
fn one_by_one<State>(
    prompt: Prompt<'_>,
    mut state: State,
    predict: impl Fn(&mut State, &[f32]) -> Result<f64>,
    learn: impl Fn(&mut State, &[f32], f32),
) -> Result<Vec<f32>> {
    let points = prompt.xs.chunks_exact(prompt.dims).zip(prompt.ys).enumerate();
    points
        .map(|(i, (x, &y))| {
            let prediction = if i == 0 { 0.0 } else { predict(&mut state, x)? };
            learn(&mut state, x, y);
            Ok(prediction as f32)
        })
        .collect()
}

/// w . x
fn dot(w: &[f64], x: &[f32]) -> f64 {
    w.iter().zip(x).map(|(w, &x)| w * f64::from(x)).sum()
}

/// `_key_value` for a name, or nothing where a setting has its default: two baselines of other settings have other names.
fn unless_default<T: PartialEq + std::fmt::Display>(key: &str, value: T, default: T) -> String {
    if value == default { String::new() } else { format!("_{key}_{value}") }
}
