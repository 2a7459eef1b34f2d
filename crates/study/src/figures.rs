//! The figures that a run's report and a comparison share: a run's report is one of a single variant.

use looped_eval::Evaluation;
use looped_report::plot::{Band, Curve, Figure, Marker, Palette, Scale, Seed};

/// More loops than this are drawn on a logarithmic axis: the first ones matter most.
const MANY_LOOPS: usize = 100;

/// With fewer seeds than this, but more than one, the seeds themselves are drawn and not the interval of their mean.
pub(crate) const ENOUGH_SEEDS: usize = 5;

/// More points of a training loss than this are more than a figure shows, and than a page should carry.
const MOST_STEPS: usize = 5000;

/// Those of many logged steps that are shown, evenly spread, the first and the last among them.
pub(crate) fn thinned<T>(logged: &[T]) -> impl Iterator<Item = &T> {
    let (every, last) = (logged.len().div_ceil(MOST_STEPS).max(1), logged.len().saturating_sub(1));
    logged.iter().enumerate().filter(move |(i, _)| i.is_multiple_of(every) || *i == last).map(|(_, of)| of)
}

/// A model's curve, whose points are counted from `first`: with its interval where that rests on one run's prompts or
/// on enough seeds, or else with its `seeds` as thin lines.
pub(crate) fn model<'a>(
    name: &str,
    first: usize,
    mean: &looped_eval::Curve,
    seeds: impl IntoIterator<Item = (u64, &'a [f64])>,
) -> Curve {
    let x = counted_from(first, mean.mean.len());
    let seeds: Vec<Seed> = seeds
        .into_iter()
        .map(|(seed, curve)| Seed { name: format!("seed {seed}"), values: curve.to_vec() })
        .collect();
    if (2..ENOUGH_SEEDS).contains(&seeds.len()) {
        Curve { seeds, ..Curve::model(name, x, Band::line(mean.mean.clone())) }
    } else {
        Curve::model(name, x, band(mean))
    }
}

/// A baseline's curve.
pub(crate) fn baseline(name: &str, x: Vec<f64>, curve: &looped_eval::Curve) -> Curve {
    Curve::baseline(name.replace('_', " "), x, band(curve))
}

/// A curve for each of these baselines, whose points are counted from `first`.
pub(crate) fn baselines(first: usize, curves: &looped_eval::Curves) -> impl Iterator<Item = Curve> {
    curves.iter().map(move |(name, of)| baseline(name, counted_from(first, of.mean.len()), of))
}

/// Scores over what an evaluation's entries are counted in: the number of in-context examples, or the length.
pub(crate) fn over_examples(title: &str, of: &Evaluation, palette: Palette, curves: Vec<Curve>) -> Figure {
    on_its_scale(Figure { curves, palette, ..Figure::new(title, of.counted_in(), of.score_label()) })
}

/// Error at the last query over loops, with marks where trainings stopped.
pub(crate) fn over_loops(
    title: &str,
    score: &str,
    palette: Palette,
    curves: Vec<Curve>,
    trained: impl IntoIterator<Item = usize>,
) -> Figure {
    let longest = curves.iter().map(|curve| curve.x.len()).max().unwrap_or(0);
    let figure = Figure::new(title, "loops", format!("{score} at the last query"));
    on_its_scale(Figure {
        markers: trained_loops(trained, longest),
        curves,
        palette,
        ..by_loops(figure, longest)
    })
}

/// A figure over loops on the scale that fits `longest` of them.
pub(crate) fn by_loops(figure: Figure, longest: usize) -> Figure {
    Figure { x_scale: if longest > MANY_LOOPS { Scale::Log } else { Scale::Linear }, ..figure }
}

/// Marks at the numbers of loops that models were trained with, where the axis extends beyond them.
pub(crate) fn trained_loops(trained: impl IntoIterator<Item = usize>, longest: usize) -> Vec<Marker> {
    let mut trained: Vec<usize> = trained.into_iter().filter(|&loops| loops < longest).collect();
    trained.sort_unstable();
    trained.dedup();
    trained.into_iter().map(|loops| Marker { x: loops as f64, label: format!("trained: {loops}") }).collect()
}

/// Losses over some measure of cost.
pub(crate) fn losses(cost: &str, loss: &str, palette: Palette, curves: Vec<Curve>) -> Figure {
    on_its_scale(Figure { curves, palette, ..Figure::new("", cost, loss) })
}

/// A figure whose y axis shows its curves well: a logarithmic one where they span decades, and one that ends before
/// a curve that diverges.
pub(crate) fn on_its_scale(figure: Figure) -> Figure {
    Figure { y_scale: Scale::for_errors(&figure.curves), ..figure }.cap_outliers()
}

/// The numbers of an evaluation as those of a figure.
pub(crate) fn band(curve: &looped_eval::Curve) -> Band {
    Band { mean: curve.mean.clone(), low: curve.low.clone(), high: curve.high.clone() }
}

/// So many whole numbers from `first` on.
pub(crate) fn counted_from(first: usize, count: usize) -> Vec<f64> {
    (first..first + count).map(|x| x as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(mean: f64) -> looped_eval::Curve {
        looped_eval::Curve {
            mean: vec![mean; 2],
            low: vec![mean / 2.0; 2],
            high: vec![mean * 2.0; 2],
            ..looped_eval::Curve::default()
        }
    }

    #[test]
    fn a_few_seeds_are_drawn_one_by_one_and_one_or_many_as_a_band() {
        let drawn = |count: u64| {
            let seeds: Vec<_> = (0..count).map(|seed| (seed, [seed as f64; 2])).collect();
            model("m", 0, &curve(1.0), seeds.iter().map(|(seed, curve)| (*seed, curve.as_slice())))
        };
        let few = drawn(3);
        assert_eq!((few.seeds.len(), few.band.low.len()), (3, 0));
        assert_eq!(few.seeds[2], Seed { name: "seed 2".into(), values: vec![2.0; 2] });
        for count in [1, 5] {
            let with_band = drawn(count);
            assert_eq!((with_band.seeds.len(), with_band.band), (0, band(&curve(1.0))));
        }
    }

    #[test]
    fn of_very_many_logged_steps_some_are_shown_with_both_ends() {
        let shown = |count: usize| thinned(&(0..count).collect::<Vec<_>>()).copied().collect::<Vec<_>>();
        assert_eq!((shown(0), shown(3)), (vec![], vec![0, 1, 2]));
        assert_eq!(shown(MOST_STEPS).len(), MOST_STEPS);
        let some = shown(300_000);
        assert!(some.len() <= MOST_STEPS + 1 && some[..3] == [0, 60, 120] && some.last() == Some(&299_999));
    }

    #[test]
    fn many_loops_are_drawn_on_a_logarithmic_axis_with_a_mark_where_each_training_stopped() {
        let long = Curve::model("m", counted_from(1, 500), Band::line(vec![1.0; 500]));
        let figure = over_loops("", "error", Palette::Distinct, vec![long], [20, 12, 20, 500]);
        assert_eq!(figure.x_scale, Scale::Log);
        let labels: Vec<&str> = figure.markers.iter().map(|marker| marker.label.as_str()).collect();
        assert_eq!(labels, ["trained: 12", "trained: 20"]);
    }
}
