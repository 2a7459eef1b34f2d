//! The figures of a comparison: errors and losses, a curve for each variant.

use looped_report::plot::{Band, Curve, Figure};

use crate::comparison::Comparison;
use crate::comparison::history::ValidationHistory;
use crate::comparison::seeds::mean;
use crate::comparison::variant::Variant;
use crate::comparison::varied::{Arrangement, arrangement};
use crate::figures;
use crate::statistics::{self, level};

/// Error over the number of in-context examples, beside the baselines.
pub(crate) fn over_examples(comparison: &Comparison) -> Figure {
    let Arrangement { palette, order } = arrangement(comparison);
    let first = comparison.first().scored.evaluation.first();
    let curve = |variant: &Variant| figures::model(&variant.name, first, &variant.error, variant.errors());
    let mut curves = arranged(comparison, &order, curve);
    curves.extend(figures::baselines(0, &comparison.baselines));
    figures::over_examples("", &comparison.first().scored.evaluation, palette, curves)
}

/// Error at the last query over loops, beside the baselines that take a step for each, with a mark where training stopped.
pub(crate) fn over_loops(comparison: &Comparison) -> Figure {
    let Arrangement { palette, order } = arrangement(comparison);
    let curve =
        |variant: &Variant| figures::model(&variant.name, 1, &variant.per_loop, variant.errors_per_loop());
    let mut curves = arranged(comparison, &order, curve);
    curves.extend(figures::baselines(1, &comparison.baselines_per_loop));
    let trained = comparison.variants.iter().map(|variant| variant.first().trained_loops);
    let score = comparison.first().scored.evaluation.score_label();
    figures::over_loops("", &score, palette, curves, trained)
}

/// The training loss over steps.
pub(crate) fn batch_loss(comparison: &Comparison) -> Figure {
    let Arrangement { palette, order } = arrangement(comparison);
    let curve = |variant: &Variant| {
        let history = &variant.history;
        Curve::model(&variant.name, history.steps.clone(), Band::line(history.loss.clone()))
    };
    let label = format!("training loss{}", unit(comparison));
    figures::losses("training steps", &label, palette, arranged(comparison, &order, curve))
}

/// The validation loss over some measure of cost: how far it is above the least possible one, where that is known.
pub(crate) fn validation_loss(
    comparison: &Comparison,
    cost: &str,
    measure: fn(&ValidationHistory) -> &Vec<f64>,
) -> Figure {
    let Arrangement { palette, order } = arrangement(comparison);
    let floor = comparison.floor();
    let curve = |variant: &Variant| {
        let history = &variant.history.validation;
        let below =
            if floor.is_some() { variant.first().floor.as_ref().map_or(0.0, |of| of.loss) } else { 0.0 };
        let of_seeds: Vec<Vec<f64>> =
            history.of_seeds.iter().map(|losses| losses.iter().map(|loss| loss - below).collect()).collect();
        let over_seeds = over_seeds(&of_seeds, history.steps.len());
        let seeds = variant.seeds().into_iter().zip(of_seeds.iter().map(Vec::as_slice));
        Curve { x: measure(history).clone(), ..figures::model(&variant.name, 0, &over_seeds, seeds) }
    };
    let label = match floor {
        Some(name) => format!("validation loss above {name}{}", unit(comparison)),
        None => format!("validation loss{}", unit(comparison)),
    };
    figures::losses(cost, &label, palette, arranged(comparison, &order, curve))
}

/// The mean of the seeds' losses at each step, with its interval: geometric, but where a seed has got
/// to the floor.
fn over_seeds(of_seeds: &[Vec<f64>], steps: usize) -> looped_eval::Curve {
    let mut curve = looped_eval::Curve::default();
    for i in 0..steps {
        let losses: Vec<[f64; 1]> = of_seeds.iter().map(|losses| [losses[i]]).collect();
        let found =
            level(&losses.iter().map(<[f64; 1]>::as_slice).collect::<Vec<_>>(), statistics::Scale::Errors);
        let arithmetic = mean(losses.iter().map(|&[loss]| loss));
        curve.mean.push(if found.estimate.is_nan() { arithmetic } else { found.estimate });
        curve.low.push(found.low);
        curve.high.push(found.high);
    }
    curve
}

/// A curve for each variant, in its panel.
fn arranged(
    comparison: &Comparison,
    order: &[(usize, String)],
    curve: impl Fn(&Variant) -> Curve,
) -> Vec<Curve> {
    let placed =
        |(i, panel): &(usize, String)| Curve { panel: panel.clone(), ..curve(&comparison.variants[*i]) };
    order.iter().map(placed).collect()
}

/// What the losses are divided by, as in ` / 5`.
fn unit(comparison: &Comparison) -> String {
    let evaluation = &comparison.first().scored.evaluation;
    if evaluation.normaliser == 1.0 { String::new() } else { format!(" / {}", evaluation.normaliser) }
}
