//! The figures of one run: those of a comparison of one, and those that only one run has.

use looped_config::Experiment;
use looped_eval::{Evaluation, MODEL, MODEL_EMA, ShiftEvaluation, SuiteEvaluation};
use looped_report::plot::{Band, Curve, Figure, HeatMap, Palette, Reference};
use looped_train::Record;

use crate::comparison::normaliser;
use crate::figures::{self, band, by_loops, counted_from, on_its_scale, trained_loops};
use crate::floor::Floor;

/// The paper's figure: error over the number of in-context examples, beside the baselines.
#[must_use]
pub fn over_examples(evaluation: &Evaluation) -> Figure {
    let longest = evaluation.curves.iter().map(|(_, curve)| curve.mean.len()).max().unwrap_or(0);
    beside_baselines(evaluation, &counted_from(evaluation.first(), longest), &title(evaluation))
}

/// The model's error on a shift, beside the baselines, over the number of in-context examples.
pub(super) fn shift(shift: &ShiftEvaluation) -> Figure {
    let examples: Vec<f64> = shift.examples.iter().map(|&k| k as f64).collect();
    beside_baselines(&shift.evaluation, &examples, &words(&shift.name))
}

/// Every curve of an evaluation; its entries stand for these numbers of in-context examples.
fn beside_baselines(evaluation: &Evaluation, examples: &[f64], title: &str) -> Figure {
    let curves = evaluation.curves.iter().map(|(name, curve)| {
        let x = examples.iter().copied().take(curve.mean.len()).collect();
        if [MODEL, MODEL_EMA].contains(&name) {
            Curve::model(name, x, band(curve))
        } else {
            figures::baseline(name, x, curve)
        }
    });
    figures::over_examples(title, evaluation, Palette::Distinct, curves.collect())
}

/// The error of every curve on every shift at its longest prompts, first on prompts as in training.
pub(super) fn all_shifts(suite: &SuiteEvaluation) -> HeatMap {
    let names: Vec<&str> = suite.standard.curves.iter().map(|(name, _)| name).collect();
    let standard = ("as in training".to_owned(), &suite.standard);
    let shifts = suite.shifts.iter().map(|shift| (words(&shift.name), &shift.evaluation));
    let (rows, evaluations): (Vec<String>, Vec<&Evaluation>) =
        std::iter::once(standard).chain(shifts).unzip();
    HeatMap {
        title: String::new(),
        x_label: String::new(),
        y_label: String::new(),
        value_label: format!("{} at the longest prompts", suite.standard.score_label()),
        columns: names.iter().map(|name| words(name)).collect(),
        rows,
        values: evaluations.into_iter().map(|evaluation| last_values(evaluation, &names)).collect(),
    }
}

/// The last value of each of these curves.
fn last_values(evaluation: &Evaluation, names: &[&str]) -> Band {
    let mut row = Band::default();
    for name in names {
        let last = |of: fn(&looped_eval::Curve) -> &Vec<f64>| {
            evaluation.curves.get(name).and_then(|curve| of(curve).last()).copied().unwrap_or(f64::NAN)
        };
        row.mean.push(last(|curve| &curve.mean));
        row.low.push(last(|curve| &curve.low));
        row.high.push(last(|curve| &curve.high));
    }
    row
}

/// Error at the last query over loops, beside the baselines that take a step for each, with a mark at the loops that the model was `trained` with.
#[must_use]
pub fn over_loops(evaluation: &Evaluation, trained: usize) -> Figure {
    let mut curves = vec![figures::model(MODEL, 1, &evaluation.per_loop, [])];
    curves.extend(figures::baselines(1, &evaluation.baselines_per_loop));
    let (title, score) = (title(evaluation), evaluation.score_label());
    figures::over_loops(&title, &score, Palette::Distinct, curves, [trained])
}

/// The losses over the steps, each divided by the normaliser of its stage.
#[must_use]
pub fn over_steps(experiment: &Experiment, metrics: &[Record]) -> Figure {
    let curve = |name: &str, points: Vec<(usize, f64)>| {
        let (x, y) = points.into_iter().map(|(step, loss)| (step as f64, loss)).unzip();
        Curve::model(name, x, Band::line(y))
    };
    let training = |record: &Record| (record.step, record.loss / normaliser(experiment, record.stage.dims));
    let validation = |record: &Record| Some((record.step, record.validation_loss_last_stage?));
    let mut curves = vec![curve("training", figures::thinned(metrics).map(training).collect())];
    let validated: Vec<(usize, f64)> = metrics.iter().filter_map(validation).collect();
    if !validated.is_empty() {
        curves.push(curve("validation, last stage", validated));
    }
    let of_average = |record: &Record| Some((record.step, record.validation_loss_ema?));
    let averaged: Vec<(usize, f64)> = metrics.iter().filter_map(of_average).collect();
    if !averaged.is_empty() {
        curves.push(curve("validation, averaged weights", averaged));
    }
    let reference = Floor::of(experiment).map(|floor| Reference { y: floor.loss, label: floor.name });
    Figure { reference, ..figures::losses("training steps", "loss / normaliser", Palette::Distinct, curves) }
}

/// The mean score at each length after each loop; `None` where prompts have no lengths, or there is one loop only.
pub(super) fn by_length(evaluation: &Evaluation) -> Option<HeatMap> {
    /// More rows or columns than this can't be read.
    const MOST: usize = 12;
    let (loops, lengths) = (evaluation.by_length.len(), evaluation.by_length.first()?.len());
    if loops < 2 {
        return None;
    }
    let some = |count: usize| {
        let step = count.div_ceil(MOST);
        // The last is among them.
        (0..count).rev().step_by(step).collect::<Vec<_>>().into_iter().rev().collect::<Vec<usize>>()
    };
    let (loops, lengths) = (some(loops), some(lengths));
    let name = |index: &usize| (index + 1).to_string();
    let row = |length: &usize| {
        Band::line(loops.iter().map(|&index| evaluation.by_length[index][*length]).collect())
    };
    Some(HeatMap {
        title: title(evaluation),
        x_label: "loops".to_owned(),
        y_label: "length".to_owned(),
        value_label: evaluation.score_label(),
        columns: loops.iter().map(name).collect(),
        rows: lengths.iter().map(name).collect(),
        values: lengths.iter().map(row).collect(),
    })
}

/// How far the state moves in each loop; `None` where it wasn't looked at, or there is one loop only.
pub(super) fn state_change(evaluation: &Evaluation, trained: usize) -> Option<Figure> {
    let distance = &evaluation.state_change.as_ref()?.distance;
    let loops = distance.mean.len();
    if loops < 2 {
        return None;
    }
    let figure = Figure::new(title(evaluation), "loops", "distance to the previous state, relative");
    let curves = vec![figures::model(MODEL, 1, distance, [])];
    let markers = trained_loops([trained], loops);
    Some(on_its_scale(Figure { curves, markers, ..by_loops(figure, loops) }))
}

/// The loop at which each number of examples has converged.
pub(super) fn convergence(evaluation: &Evaluation) -> Option<Figure> {
    let loops = evaluation.converged_at.iter().map(|l| l.map_or(f64::NAN, |l| l as f64)).collect::<Vec<_>>();
    if evaluation.loops < 2 || loops.is_empty() {
        return None;
    }
    let curves = vec![Curve::model(MODEL, counted_from(evaluation.first(), loops.len()), Band::line(loops))];
    Some(Figure { curves, ..Figure::new(title(evaluation), evaluation.counted_in(), "converged at loop") })
}

fn title(evaluation: &Evaluation) -> String {
    words(&evaluation.task)
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}
