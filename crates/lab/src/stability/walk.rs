//! The states of all prompts, loop by loop.

use candle_core::{Device, Tensor};
use looped_core::{Prompts, Result, Stateful, Watch};

use super::PATHS;
use super::paths::{self, Path};
use super::spread::Spreads;
use super::verdict::OfPrompt;
use crate::eigen::cosine;
use crate::states::{Counter, by_batches, minus, norm, values};

/// A step smaller than this, relative to the state, after every loop is that of a token that stands still: rounding.
const STILL: f32 = 1e-6;

/// A model on its way through prompts.
pub(super) struct Run<'a, M> {
    pub(super) model: &'a M,
    pub(super) device: &'a Device,
    pub(super) prompts: &'a Prompts,
    pub(super) loops: usize,
}

/// What was seen of the states.
pub(super) struct Seen {
    pub(super) still: f64,
    pub(super) relative_step: Spreads,
    pub(super) cosine: Spreads,
    pub(super) acceleration: Spreads,
    pub(super) distance_to_last: Spreads,
    pub(super) prompts: Vec<OfPrompt>,
    pub(super) paths: Vec<Path>,
    /// (prompts, tokens, width).
    pub(super) last: Vec<f32>,
}

/// What was seen of a batch: a value for each token, loop by loop.
#[derive(Default)]
struct Batch {
    steps: Vec<Vec<f32>>,
    cosines: Vec<Vec<f32>>,
    accelerations: Vec<Vec<f32>>,
    distances: Vec<Vec<f32>>,
    prompts: Vec<OfPrompt>,
    paths: Vec<Path>,
    last: Vec<f32>,
}

impl<M: Stateful> Run<'_, M> {
    /// Runs all loops twice: for the steps, and for the distances to the last state, so that not all states are kept.
    pub(super) fn look(&self, trained: usize, watch: &dyn Watch) -> Result<Seen> {
        let counter = Counter::new(2 * self.loops * self.prompts.prompts, 2 * self.loops, watch);
        let batches = by_batches(self.model, self.prompts, self.device, |first, some| {
            self.look_at(first, some, trained, &counter)
        })?;
        let joined = |of: fn(&Batch) -> &Vec<Vec<f32>>| -> Vec<Vec<f32>> {
            (0..self.loops)
                .map(|index| batches.iter().flat_map(|batch| of(batch)[index].iter().copied()).collect())
                .collect()
        };
        let steps = joined(|batch| &batch.steps);
        let tokens = steps[0].len();
        // The first step is from no state of the network's own.
        let moves: Vec<bool> = (0..tokens)
            .map(|t| self.loops < 2 || steps[1..].iter().any(|of| of[t].is_nan() || of[t] >= STILL))
            .collect();
        let still = moves.iter().filter(|moves| !**moves).count() as f64 / tokens as f64;
        Ok(Seen {
            still,
            relative_step: Spreads::of(&steps, &moves),
            cosine: Spreads::of(&joined(|batch| &batch.cosines), &moves),
            acceleration: Spreads::of(&joined(|batch| &batch.accelerations), &moves),
            distance_to_last: Spreads::of(&joined(|batch| &batch.distances), &moves),
            last: batches.iter().flat_map(|batch| batch.last.iter().copied()).collect(),
            prompts: batches.iter().flat_map(|batch| batch.prompts.iter().cloned()).collect(),
            paths: batches.into_iter().flat_map(|batch| batch.paths).collect(),
        })
    }

    /// The states after all loops from `first`, (prompts, tokens, width).
    pub(super) fn end_from(&self, start: &[f32], watch: &dyn Watch) -> Result<Vec<f32>> {
        let counter = Counter::new(self.loops * self.prompts.prompts, self.loops, watch);
        let each = start.len() / self.prompts.prompts;
        let ends = by_batches(self.model, self.prompts, self.device, |first, some| {
            let mut looping = self.model.looping(&some, self.loops)?;
            let own = &start[first * each..(first + some.prompts) * each];
            let shape = (some.prompts, some.layout.tokens(some.points), self.model.width());
            looping.go_on_from(&Tensor::from_slice(own, shape, self.device)?, 0)?;
            let mut state = Vec::new();
            for _ in 0..self.loops {
                state = values(&mut looping)?;
                counter.add(some.prompts)?;
            }
            Ok(state)
        })?;
        Ok(ends.concat())
    }

    fn look_at(&self, first: usize, some: Prompts, trained: usize, counter: &Counter<'_>) -> Result<Batch> {
        let width = self.model.width();
        let each = some.layout.tokens(some.points) * width;
        let mut batch = Batch::default();
        let mut trained_sizes = Vec::new();
        let (mut before, mut step_before): (Option<Vec<f32>>, Option<Vec<f32>>) = (None, None);
        let mut looping = self.model.looping(&some, self.loops)?;
        for index in 0..self.loops {
            let state = values(&mut looping)?;
            let step: Option<Vec<f32>> = before.as_ref().map(|before| minus(&state, before));
            batch.steps.push(relative(step.as_deref(), &state, width));
            let pair = step.as_ref().zip(step_before.as_ref());
            batch.accelerations.push(relative(pair.map(|(a, b)| minus(a, b)).as_deref(), &state, width));
            batch.cosines.push(cosines(pair, &state, width));
            if index + 1 == trained.min(self.loops) {
                trained_sizes = state.chunks_exact(each).map(norm).collect();
            }
            (before, step_before) = (Some(state), step);
            counter.add(some.prompts)?;
        }
        batch.last = before.unwrap_or_default();

        let kept = PATHS.saturating_sub(first).min(some.prompts);
        let shown = paths::shown(self.loops);
        let mut ways: Vec<Vec<f32>> = vec![Vec::new(); kept];
        let mut distances: Vec<Vec<f64>> = vec![Vec::new(); some.prompts];
        let mut looping = self.model.looping(&some, self.loops)?;
        for index in 0..self.loops {
            let state = values(&mut looping)?;
            batch.distances.push(relative(Some(&minus(&batch.last, &state)), &batch.last, width));
            for ((own, last), distances) in
                state.chunks_exact(each).zip(batch.last.chunks_exact(each)).zip(&mut distances)
            {
                distances.push(norm(&minus(last, own)) / norm(last));
            }
            if shown.binary_search(&(index + 1)).is_ok() {
                ways.iter_mut().zip(state.chunks_exact(each)).for_each(|(way, state)| way.extend(state));
            }
            counter.add(some.prompts)?;
        }
        batch.paths = ways.iter().enumerate().map(|(i, way)| Path::of(first + i, &shown, way)).collect();
        let sizes = batch.last.chunks_exact(each).map(norm).zip(trained_sizes);
        batch.prompts = distances
            .into_iter()
            .zip(sizes)
            .map(|(distances, (last, trained))| OfPrompt { distances, grown: last / trained })
            .collect();
        Ok(batch)
    }
}

/// |moved| / |state| of each token; NaN where there is nothing to tell.
fn relative(moved: Option<&[f32]>, state: &[f32], width: usize) -> Vec<f32> {
    match moved {
        None => vec![f32::NAN; state.len() / width],
        Some(moved) => {
            let pairs = moved.chunks_exact(width).zip(state.chunks_exact(width));
            pairs.map(|(moved, state)| (norm(moved) / norm(state)) as f32).collect()
        }
    }
}

fn cosines(steps: Option<(&Vec<f32>, &Vec<f32>)>, state: &[f32], width: usize) -> Vec<f32> {
    let Some((now, before)) = steps else { return vec![f32::NAN; state.len() / width] };
    let long = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let of = |(a, b): (&[f32], &[f32])| {
        // A step of rounding has no direction.
        let moves = |step: &[f32]| norm(step) > 0.0;
        if moves(a) && moves(b) { cosine(&long(a), &long(b)) as f32 } else { f32::NAN }
    };
    now.chunks_exact(width).zip(before.chunks_exact(width)).map(of).collect()
}
