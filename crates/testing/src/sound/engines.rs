//! All engines compute the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use looped_core::{Flat, LoopPlan, ModelDims, Objective, ParamStore, Predictor, Prompts};
use looped_cpu::{CpuModel, Precision};
use looped_graph::Graph;
use looped_reference::ReferenceModel;

/// What engines are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Loops, and how many of the last carry gradient.
    pub plan: LoopPlan,
    /// How many of the last enter the loss.
    pub loss_loops: usize,
    /// What is minimised.
    pub objective: Objective,
    /// Threads of the CPU engine.
    pub threads: usize,
}

/// What an engine computes: the loss, every gradient, and the predictions after every loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// The loss.
    pub loss: f64,
    /// The gradient with respect to each parameter.
    pub gradients: BTreeMap<String, Vec<f64>>,
    /// (loops, prompts, points, numbers).
    pub predictions: Vec<f64>,
}

/// How far results may be apart: the loss and predictions beside their own size, gradients beside the largest of all.
const TOLERANCE: f64 = 1e-4;
/// How many times drawn roundings are looked at where a result is further off.
const DRAWS: u64 = 8;
/// How much further an engine may be off than those roundings: it rounds within an operation too.
const SHARE: f64 = 4.0;

/// The CPU engine computes a graph's loss, every gradient and the predictions after every loop as the reference engine does in 64 bits, and it
/// computes the same bits again: with buffers apart, in memory full of NaN, and after other calls.
///
/// # Errors
/// What differs, where, and by how much; what an engine refuses.
pub fn engines_agree(
    graph: &Graph,
    dims: ModelDims,
    store: &ParamStore,
    prompts: &Prompts,
    asked: Asked,
) -> Result<(), String> {
    let cpu = || {
        CpuModel::new(Arc::new(graph.clone()), dims, asked.threads)
            .map_err(|error| format!("the CPU engine refuses it: {error}"))
    };
    let model = cpu()?;
    let found = by_cpu(&model, store, prompts, asked)?;
    agrees_with_reference("CPU", graph, store, prompts, asked, &found)?;
    let same = |how: &str, again: Results| match difference(&found, &again) {
        None => Ok(()),
        Some(what) => Err(format!("the CPU engine: {what} changes {how}")),
    };
    same(
        "when every buffer has room of its own, so two share room that both need",
        by_cpu(&cpu()?.with_buffers_apart(), store, prompts, asked)?,
    )?;
    same(
        "when memory holds NaN at first, so something is read that was never written",
        by_cpu(&cpu()?.with_dead_memory_nan(), store, prompts, asked)?,
    )?;
    let (count, points) = (prompts.prompts.div_ceil(2), prompts.points.div_ceil(2));
    by_cpu(&model, store, &first(prompts, count, points), asked)?;
    same("after a call with other prompts", by_cpu(&model, store, prompts, asked)?)
}

/// What an engine has computed of a graph is what the reference engine computes in 64 bits. In few graphs rounding alone moves a result further than
/// it should be off: there the engine may be off by four times that.
///
/// # Errors
/// What differs, and by how much.
pub fn agrees_with_reference(
    engine: &str,
    graph: &Graph,
    store: &ParamStore,
    prompts: &Prompts,
    asked: Asked,
    found: &Results,
) -> Result<(), String> {
    let far = distances(&by_reference(graph, store, prompts, asked, In::F64)?, found)?;
    if far.values().all(|distance| *distance <= TOLERANCE) {
        return Ok(());
    }
    let moved = moved_by_rounding(graph, store, prompts, asked)?;
    for (what, distance) in far {
        let allowed = TOLERANCE.max(SHARE * moved[&what]);
        if distance > allowed {
            return Err(format!(
                "{what} of the {engine} engine is {distance:.1e} away from that of the reference engine; allowed: {allowed:.1e}"
            ));
        }
    }
    Ok(())
}

/// How far what an engine has computed is from what the reference engine computes in 64 bits: the most of the loss and predictions beside their
/// own size, and of gradients beside the largest of all.
///
/// # Errors
/// What differs in kind, or what the reference engine refuses.
pub fn furthest_from_reference(
    graph: &Graph,
    store: &ParamStore,
    prompts: &Prompts,
    asked: Asked,
    found: &Results,
) -> Result<f64, String> {
    let far = distances(&by_reference(graph, store, prompts, asked, In::F64)?, found)?;
    Ok(far.into_values().fold(0.0, f64::max))
}

/// How far rounding moves the loss, the predictions and each gradient, in the scales in which engines are compared.
///
/// One engine's own roundings may cancel by luck, as in the mean of a row of equal numbers, which a norm then multiplies by 316. So the reference
/// engine computes in 64 bits, too, with roundings that are drawn, several times: what has moved furthest counts.
///
/// # Errors
/// What the reference engine refuses.
pub fn moved_by_rounding(
    graph: &Graph,
    store: &ParamStore,
    prompts: &Prompts,
    asked: Asked,
) -> Result<BTreeMap<String, f64>, String> {
    let exact = by_reference(graph, store, prompts, asked, In::F64)?;
    let mut furthest: BTreeMap<String, f64> = BTreeMap::new();
    for how in std::iter::once(In::F32).chain((0..DRAWS).map(In::Roundings)) {
        for (what, moved) in distances(&exact, &by_reference(graph, store, prompts, asked, how)?)? {
            let most = furthest.entry(what).or_default();
            *most = most.max(moved);
        }
    }
    Ok(furthest)
}

/// The first points of the first prompts.
fn first(prompts: &Prompts, count: usize, points: usize) -> Prompts {
    let n_dims = prompts.n_dims;
    let cut = |values: &[f32], width: usize| -> Vec<f32> {
        let each = values.chunks_exact(prompts.points * width).take(count);
        each.flat_map(|prompt| prompt[..points * width].to_vec()).collect()
    };
    let (xs, ys, shown) = (cut(&prompts.xs, n_dims), cut(&prompts.ys, 1), prompts.shown.as_ref());
    Prompts { xs, ys, shown: shown.map(|shown| cut(shown, 1)), prompts: count, points, ..*prompts }
}

/// How the reference engine computes.
#[derive(Clone, Copy)]
enum In {
    F32,
    F64,
    /// In 64 bits, each result off by a rounding of 32, drawn from a seed.
    Roundings(u64),
}

fn by_reference(
    graph: &Graph,
    store: &ParamStore,
    prompts: &Prompts,
    asked: Asked,
    how: In,
) -> Result<Results, String> {
    let Asked { plan, loss_loops, objective, .. } = asked;
    let run = || -> looped_core::Result<Results> {
        let model = ReferenceModel::new(graph.clone())?;
        let model = match how {
            In::F32 => model,
            In::F64 => model.in_f64(),
            In::Roundings(seed) => model.in_f64().with_roundings(seed),
        };
        let (loss, gradients) =
            model.step(store, prompts, looped_reference::Step { plan, loss_loops, objective })?;
        let predictions = wide(&model.predictor(store).predict(prompts, plan.loops)?.values);
        Ok(Results { loss, gradients: by_name(&gradients), predictions })
    };
    run().map_err(|error| format!("the reference engine: {error}"))
}

fn by_cpu(model: &CpuModel, store: &ParamStore, prompts: &Prompts, asked: Asked) -> Result<Results, String> {
    let Asked { plan, loss_loops, objective, .. } = asked;
    let precision = Precision::F32;
    let run = || -> looped_core::Result<Results> {
        let (loss, gradients) =
            model.step(store, prompts, looped_cpu::Step { plan, loss_loops, objective, precision })?;
        let predictions = wide(&model.predictor(store, precision).predict(prompts, plan.loops)?.values);
        Ok(Results { loss, gradients: by_name(&gradients), predictions })
    };
    run().map_err(|error| format!("the CPU engine: {error}"))
}

/// Numbers of all parameters, by name.
#[must_use]
pub fn by_name(flat: &Flat) -> BTreeMap<String, Vec<f64>> {
    flat.named().map(|(place, values)| (place.name.clone(), wide(values))).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

/// The largest distance of two numbers in one place; that of something that isn't a number is infinite.
fn far(a: &[f64], b: &[f64]) -> f64 {
    let apart = |(a, b): (&f64, &f64)| if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
    a.iter().zip(b).map(apart).fold(0.0, f64::max)
}

fn distances(a: &Results, b: &Results) -> Result<BTreeMap<String, f64>, String> {
    if !a.gradients.keys().eq(b.gradients.keys()) || a.predictions.len() != b.predictions.len() {
        return Err("the engines have other parameters or other predictions".to_owned());
    }
    let scale = a.gradients.values().map(|values| largest(values)).fold(1e-6, f64::max);
    let mut distances = BTreeMap::new();
    distances.insert("the loss".to_owned(), far(&[a.loss], &[b.loss]) / a.loss.abs().max(1e-3));
    let predictions = far(&a.predictions, &b.predictions) / largest(&a.predictions).max(0.1);
    distances.insert("a prediction".to_owned(), predictions);
    for (name, values) in &a.gradients {
        distances.insert(format!("the gradient of {name}"), far(values, &b.gradients[name]) / scale);
    }
    Ok(distances)
}

/// The first thing that isn't the same to the bit.
fn difference(a: &Results, b: &Results) -> Option<String> {
    if a.loss != b.loss {
        return Some(format!("the loss ({} and {})", a.loss, b.loss));
    }
    if a.predictions != b.predictions {
        return Some("a prediction".to_owned());
    }
    let other = a.gradients.iter().find(|(name, values)| b.gradients.get(*name) != Some(values));
    other.map(|(name, _)| format!("the gradient of {name}"))
}
