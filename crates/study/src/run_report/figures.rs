//! The figures of one run.

use looped_config::Experiment;
use looped_eval::{Evaluation, MODEL, ShiftEvaluation};
use looped_report::plot::{Band, Curve, Figure, Marker, Reference, Scale};
use looped_train::Record;

use crate::comparison::normaliser;
use crate::floor::Floor;

/// The paper's figure: error over the number of in-context examples, beside the baselines.
pub(super) fn over_examples(evaluation: &Evaluation) -> Figure {
    beside_baselines(evaluation, 0.., title(evaluation))
}

/// The model's error on a shift, beside the baselines, over the number of in-context examples.
pub(super) fn shift(shift: &ShiftEvaluation) -> Figure {
    beside_baselines(&shift.evaluation, shift.examples.iter().copied(), shift.name.replace('_', " "))
}

/// Every curve of an evaluation; its entries stand for these numbers of in-context examples.
fn beside_baselines(
    evaluation: &Evaluation,
    examples: impl Iterator<Item = usize> + Clone,
    title: String,
) -> Figure {
    let curves = evaluation.curves.iter().map(|(name, curve)| {
        let x = examples.clone().take(curve.mean.len()).map(|k| k as f64).collect();
        if name == MODEL {
            Curve::model(name, x, band(curve))
        } else {
            Curve::baseline(name.replace('_', " "), x, band(curve))
        }
    });
    let curves: Vec<Curve> = curves.collect();
    let y_scale = Scale::for_errors(&curves);
    Figure { y_scale, curves, ..Figure::new(title, "in-context examples", evaluation.score_label()) }
}

/// Error at the last query over loops, with a mark where training stopped.
pub(super) fn over_loops(evaluation: &Evaluation, trained: usize) -> Figure {
    let x = (1..=evaluation.loops).map(|l| l as f64).collect();
    let curves = vec![Curve::model(MODEL, x, band(&evaluation.per_loop))];
    let y_scale = Scale::for_errors(&curves);
    let markers = marker(evaluation.loops, trained);
    let y_label = format!("{} at the last query", evaluation.score_label());
    Figure { y_scale, curves, markers, ..Figure::new(title(evaluation), "loops", y_label) }
}

fn title(evaluation: &Evaluation) -> String {
    evaluation.task.replace('_', " ")
}

pub(super) fn band(curve: &looped_eval::Curve) -> Band {
    Band { mean: curve.mean.clone(), low: curve.low.clone(), high: curve.high.clone() }
}

/// The losses over the steps, each divided by the normaliser of its stage.
pub(super) fn over_steps(experiment: &Experiment, metrics: &[Record]) -> Figure {
    let curve = |name: &str, points: Vec<(usize, f64)>| {
        let (x, y) = points.into_iter().map(|(step, loss)| (step as f64, loss)).unzip();
        Curve::model(name, x, Band::line(y))
    };
    let training = |record: &Record| (record.step, record.loss / normaliser(experiment, record.stage.dims));
    let validation = |record: &Record| Some((record.step, record.validation_loss_last_stage?));
    let mut curves = vec![curve("training", metrics.iter().map(training).collect())];
    let validated: Vec<(usize, f64)> = metrics.iter().filter_map(validation).collect();
    if !validated.is_empty() {
        curves.push(curve("validation, last stage", validated));
    }
    let y_scale = Scale::for_errors(&curves);
    let floor = Floor::of(experiment).map(|floor| Reference { y: floor.loss, label: floor.name });
    Figure { y_scale, curves, reference: floor, ..Figure::new("Training", "step", "loss / normaliser") }
}

/// How far the state moves in each loop; `None` where it wasn't looked at, or there is one loop only.
pub(super) fn state_change(evaluation: &Evaluation, trained: usize) -> Option<Figure> {
    let distance = &evaluation.state_change.as_ref()?.distance;
    if distance.mean.len() < 2 {
        return None;
    }
    let x = (1..=distance.mean.len()).map(|l| l as f64).collect();
    let curves = vec![Curve::model(MODEL, x, band(distance))];
    Some(Figure {
        y_scale: Scale::for_errors(&curves),
        curves,
        markers: marker(evaluation.loops, trained),
        ..Figure::new(title(evaluation), "loops", "distance to the previous state, relative")
    })
}

/// The loop at which each number of examples has converged.
pub(super) fn convergence(evaluation: &Evaluation) -> Option<Figure> {
    let loops = evaluation.converged_at.iter().map(|l| l.map_or(f64::NAN, |l| l as f64)).collect::<Vec<_>>();
    if evaluation.loops < 2 || loops.is_empty() {
        return None;
    }
    let x = (0..loops.len()).map(|k| k as f64).collect();
    let curves = vec![Curve::model(MODEL, x, Band::line(loops))];
    Some(Figure { curves, ..Figure::new(title(evaluation), "in-context examples", "converged at loop") })
}

fn marker(loops: usize, trained: usize) -> Vec<Marker> {
    let marker = Marker { x: trained as f64, label: "trained loops".to_owned() };
    if loops > trained { vec![marker] } else { vec![] }
}
