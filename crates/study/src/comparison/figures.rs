//! The figures: errors and losses, a curve for each variant.

use looped_report::plot::{Band, Curve, Figure, Marker, Scale};

use crate::comparison::Comparison;
use crate::comparison::history::ValidationHistory;
use crate::comparison::seeds::mean;
use crate::comparison::variant::Variant;
use crate::statistics::{self, level};

/// More loops than this are drawn on a logarithmic axis: the first ones matter most.
const MANY_LOOPS: usize = 100;

/// A diverging curve may rise to this multiple of the greatest value that any curve starts from.
const CEILING: f64 = 10.0;

/// Error over the number of in-context examples, beside the baselines.
pub(crate) fn over_examples(comparison: &Comparison) -> Figure {
    let models = comparison.variants.iter().map(|variant| with_interval(variant, 0, &variant.error));
    let baselines = comparison.baselines.iter().map(|(name, curve)| {
        let band = band(curve);
        Curve::baseline(name.replace('_', " "), counted_from(0, &band), band)
    });
    let label = comparison.first().scored.evaluation.score_label();
    on_its_scale(Figure {
        curves: models.chain(baselines).collect(),
        ..Figure::new("", "in-context examples", label)
    })
}

/// Error at the last query over loops, with a mark where training stopped.
pub(crate) fn over_loops(comparison: &Comparison) -> Figure {
    let curve = |variant| with_interval(variant, 1, &variant.per_loop);
    let curves: Vec<Curve> = comparison.variants.iter().map(curve).collect();
    let longest = curves.iter().map(|curve| curve.x.len()).max().unwrap_or(0);
    let mut trained: Vec<usize> =
        comparison.variants.iter().map(|variant| variant.first().trained_loops).collect();
    trained.sort_unstable();
    trained.dedup();
    trained.retain(|&loops| loops < longest);
    let markers = trained.iter().map(|&loops| Marker { x: loops as f64, label: format!("trained: {loops}") });
    let label = format!("{} at the last query", comparison.first().scored.evaluation.score_label());
    capped(on_its_scale(Figure {
        x_scale: if longest > MANY_LOOPS { Scale::Log } else { Scale::Linear },
        curves,
        markers: markers.collect(),
        ..Figure::new("", "loops", label)
    }))
}

/// The loss of the batches over steps.
pub(crate) fn batch_loss(comparison: &Comparison) -> Figure {
    let curve = |variant: &Variant| {
        let history = &variant.history;
        Curve::model(&variant.name, history.steps.clone(), Band::line(history.loss.clone()))
    };
    let curves = comparison.variants.iter().map(curve).collect();
    capped(on_its_scale(Figure {
        curves,
        ..Figure::new("", "training steps", format!("training loss{}", unit(comparison)))
    }))
}

/// The validation loss over some measure of cost: how far it is above the least possible one, where that is known.
pub(crate) fn validation_loss(
    comparison: &Comparison,
    cost: &str,
    measure: fn(&ValidationHistory) -> &Vec<f64>,
) -> Figure {
    let floor = comparison.floor();
    let curve = |variant: &Variant| {
        let history = &variant.history.validation;
        let below =
            if floor.is_some() { variant.first().floor.as_ref().map_or(0.0, |of| of.loss) } else { 0.0 };
        let of_seeds: Vec<Vec<f64>> =
            history.of_seeds.iter().map(|losses| losses.iter().map(|loss| loss - below).collect()).collect();
        let band = over_seeds(&of_seeds, history.steps.len());
        Curve::model(&variant.name, measure(history).clone(), band)
    };
    let curves = comparison.variants.iter().map(curve).collect();
    let label = match floor {
        Some(name) => format!("validation loss above {name}{}", unit(comparison)),
        None => format!("validation loss{}", unit(comparison)),
    };
    capped(on_its_scale(Figure { curves, ..Figure::new("", cost, label) }))
}

/// The mean of the seeds' losses at each step, with its interval: geometric, but where a seed has got
/// to the floor.
fn over_seeds(of_seeds: &[Vec<f64>], steps: usize) -> Band {
    let mut band = Band::default();
    for i in 0..steps {
        let losses: Vec<[f64; 1]> = of_seeds.iter().map(|losses| [losses[i]]).collect();
        let found =
            level(&losses.iter().map(<[f64; 1]>::as_slice).collect::<Vec<_>>(), statistics::Scale::Errors);
        let arithmetic = mean(losses.iter().map(|&[loss]| loss));
        band.mean.push(if found.estimate.is_nan() { arithmetic } else { found.estimate });
        band.low.push(found.low);
        band.high.push(found.high);
    }
    band
}

/// A variant's curve with the interval of the tables.
fn with_interval(variant: &Variant, first: usize, curve: &looped_eval::Curve) -> Curve {
    let band = band(curve);
    Curve::model(&variant.name, counted_from(first, &band), band)
}

/// What the losses are divided by, as in ` / 5`.
fn unit(comparison: &Comparison) -> String {
    let evaluation = &comparison.first().scored.evaluation;
    if evaluation.normaliser == 1.0 { String::new() } else { format!(" / {}", evaluation.normaliser) }
}

fn on_its_scale(figure: Figure) -> Figure {
    Figure { y_scale: Scale::for_errors(&figure.curves), ..figure }
}

fn capped(figure: Figure) -> Figure {
    let starts = figure.curves.iter().filter_map(|curve| curve.band.mean.first().copied());
    let ceiling = CEILING * starts.filter(|start| start.is_finite()).fold(0.0, f64::max);
    Figure { ceiling: (ceiling > 0.0).then_some(ceiling), ..figure }
}

fn band(curve: &looped_eval::Curve) -> Band {
    Band { mean: curve.mean.clone(), low: curve.low.clone(), high: curve.high.clone() }
}

fn counted_from(first: usize, band: &Band) -> Vec<f64> {
    (first..first + band.mean.len()).map(|x| x as f64).collect()
}
