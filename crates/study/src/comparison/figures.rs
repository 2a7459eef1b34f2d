//! The figures: errors and losses, a curve for each variant.

use looped_report::plot::{Band, Curve, Figure, Marker, Scale};

use crate::comparison::Comparison;
use crate::comparison::history::HeldOutHistory;
use crate::comparison::variant::Variant;

/// More loops than this are drawn on a logarithmic axis: the first ones matter most.
const MANY_LOOPS: usize = 100;

/// A diverging curve may rise to this multiple of the greatest value that any curve starts from.
const CEILING: f64 = 10.0;

/// Error over the number of in-context examples, beside the baselines.
pub(crate) fn over_examples(comparison: &Comparison) -> Figure {
    let models = comparison.variants.iter().map(|variant| {
        let band = band(&variant.error_span);
        Curve::model(&variant.name, counted_from(0, &band), band)
    });
    let baselines = comparison.baselines.iter().map(|(name, curve)| {
        let band = band(curve);
        Curve::baseline(name.replace('_', " "), counted_from(0, &band), band)
    });
    let label = comparison.first().evaluation.score_label();
    on_its_scale(Figure {
        curves: models.chain(baselines).collect(),
        ..Figure::new("", "in-context examples", label)
    })
}

/// Error at the last query over loops, with a mark where training stopped.
pub(crate) fn over_loops(comparison: &Comparison) -> Figure {
    let curve = |variant: &Variant| {
        let band = band(&variant.per_loop);
        Curve::model(&variant.name, counted_from(1, &band), band)
    };
    let curves: Vec<Curve> = comparison.variants.iter().map(curve).collect();
    let longest = curves.iter().map(|curve| curve.x.len()).max().unwrap_or(0);
    let mut trained: Vec<usize> =
        comparison.variants.iter().map(|variant| variant.first().trained_loops).collect();
    trained.sort_unstable();
    trained.dedup();
    trained.retain(|&loops| loops < longest);
    let markers = trained.iter().map(|&loops| Marker { x: loops as f64, label: format!("trained: {loops}") });
    let label = format!("{} at the last query", comparison.first().evaluation.score_label());
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
    capped(on_its_scale(Figure { curves, ..Figure::new("", "training steps", "loss of the batch") }))
}

/// The loss on held-out prompts over some measure of cost.
pub(crate) fn held_out_loss(
    comparison: &Comparison,
    cost: &str,
    measure: fn(&HeldOutHistory) -> &Vec<f64>,
) -> Figure {
    let curve = |variant: &Variant| {
        let history = &variant.history.held_out;
        Curve::model(&variant.name, measure(history).clone(), history.loss.clone())
    };
    let curves = comparison.variants.iter().map(curve).collect();
    capped(on_its_scale(Figure { curves, ..Figure::new("", cost, "held-out loss") }))
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
