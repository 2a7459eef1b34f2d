//! What the variants vary: the settings that are not the same in all, and the grid that two of them make.

use looped_report::plot::{Band, HeatMap, Intervals, Palette, Scale};
use looped_report::plot::{Curve, Figure};

use crate::comparison::Comparison;
use crate::comparison::difference::Settings;
use crate::figures::on_its_scale;

/// Fewer values than this are a choice, and no axis.
const FEWEST: usize = 3;

/// A setting that differs among variants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VariedKey {
    /// Its dotted key.
    pub(crate) key: String,
    /// Its value in each variant; empty where it isn't set.
    values: Vec<String>,
}

/// The settings that differ. Of settings that change together, as the start and the end of a schedule do, one stands
/// for all: the first that is a number, or else the first.
pub(crate) fn varied(settings: &[&Settings]) -> Vec<VariedKey> {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in settings.iter().copied().flatten() {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let value = |settings: &Settings, key: &str| {
        let set = settings.iter().find(|(other, _)| other == key);
        set.map_or_else(String::new, |(_, value)| value.clone())
    };
    let values = |key: &str| settings.iter().map(|settings| value(settings, key)).collect::<Vec<String>>();
    let mut found: Vec<VariedKey> = Vec::new();
    for key in keys {
        let new = VariedKey { key: key.to_owned(), values: values(key) };
        if new.values.iter().all(|value| *value == new.values[0]) {
            continue;
        }
        match found.iter_mut().find(|known| known.partition() == new.partition()) {
            Some(known) if known.numbers().is_none() && new.numbers().is_some() => *known = new,
            Some(_) => {}
            None => found.push(new),
        }
    }
    found
}

impl VariedKey {
    /// The values as numbers, if all are.
    pub(crate) fn numbers(&self) -> Option<Vec<f64>> {
        self.values.iter().map(|value| value.replace('_', "").parse().ok()).collect()
    }

    /// For each variant the first one of the same value.
    fn partition(&self) -> Vec<usize> {
        let first = |value| self.values.iter().position(|other| other == value).unwrap_or(0);
        self.values.iter().map(first).collect()
    }

    /// The different values, numbers from the lowest to the highest, others as they come; and each variant's place
    /// among them.
    fn levels(&self) -> (Vec<String>, Vec<usize>) {
        let partition = self.partition();
        let mut firsts = partition.clone();
        firsts.sort_unstable();
        firsts.dedup();
        if let Some(numbers) = self.numbers() {
            firsts.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
        }
        let place = |first: &usize| firsts.iter().position(|other| other == first).unwrap_or(0);
        let shown = |value: &String| match value.trim_matches('"') {
            "" => "not set".to_owned(),
            value => value.to_owned(),
        };
        (firsts.iter().map(|&i| shown(&self.values[i])).collect(), partition.iter().map(place).collect())
    }

    /// The last part of its key, which says most.
    fn short(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or(&self.key)
    }
}

/// How the variants' curves are arranged: by the numbers that they vary, if these are in order.
pub(crate) struct Arrangement {
    pub(crate) palette: Palette,
    /// The variants in the order in which they are drawn, each with the title of its panel.
    pub(crate) order: Vec<(usize, String)>,
}

/// One number: in its order. Two settings that make a grid: a panel for each value of the one, in each the other's
/// values in their order. Otherwise as they come.
pub(crate) fn arrangement(comparison: &Comparison) -> Arrangement {
    let varied = comparison.varied();
    let count = comparison.variants.len();
    let mut order: Vec<(usize, String)> = (0..count).map(|i| (i, String::new())).collect();
    let palette = |along: &VariedKey| match along.numbers() {
        Some(_) if along.levels().0.len() >= FEWEST => Palette::Ordered,
        _ => Palette::Distinct,
    };
    match &varied[..] {
        [only] if only.numbers().is_some() => {
            let places = only.levels().1;
            order.sort_by_key(|(i, _)| places[*i]);
            Arrangement { palette: palette(only), order }
        }
        [across, along] if is_grid(across, along) => {
            let ((names, panels), places) = (across.levels(), along.levels().1);
            for (i, panel) in &mut order {
                *panel = format!("{} = {}", across.short(), names[panels[*i]]);
            }
            order.sort_by_key(|(i, _)| (panels[*i], places[*i]));
            Arrangement { palette: palette(along), order }
        }
        _ => Arrangement { palette: Palette::Distinct, order },
    }
}

/// Whether each pair of values has one variant at most, and more than half of them have one.
fn is_grid(a: &VariedKey, b: &VariedKey) -> bool {
    let ((rows, row), (columns, column)) = (a.levels(), b.levels());
    let mut cells: Vec<(usize, usize)> = row.into_iter().zip(column).collect();
    let variants = cells.len();
    cells.sort_unstable();
    cells.dedup();
    cells.len() == variants && 2 * variants > rows.len() * columns.len() && rows.len().min(columns.len()) > 1
}

/// The figure that a sweep over one number asks for: error over its values, with intervals, at the reported numbers of
/// examples.
pub(crate) fn over_key(comparison: &Comparison) -> Option<Figure> {
    let varied = comparison.varied();
    let [only] = &varied[..] else { return None };
    let numbers = only.numbers()?;
    if only.levels().0.len() < FEWEST {
        return None;
    }
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let x: Vec<f64> = order.iter().map(|&i| numbers[i]).collect();
    let curve = |&count: &usize| {
        let errors = order.iter().map(|&i| &comparison.variants[i].error);
        let at = |of: fn(&looped_eval::Curve) -> &Vec<f64>| {
            errors.clone().map(|error| of(error).get(count).copied().unwrap_or(f64::NAN)).collect()
        };
        let band = Band {
            mean: at(|error| &error.mean),
            low: at(|error| &error.low),
            high: at(|error| &error.high),
        };
        Curve::model(comparison.first().scored.evaluation.entry(count), x.clone(), band)
    };
    let score = comparison.first().scored.evaluation.score_label();
    Some(on_its_scale(Figure {
        curves: comparison.ratios.counts.iter().map(curve).collect(),
        x_scale: Scale::for_settings(&x),
        palette: Palette::Ordered,
        intervals: Intervals::Bars,
        ..Figure::new("", &only.key, score)
    }))
}

/// The error at the last reported number of examples for each pair of two settings.
pub(crate) fn over_two_keys(comparison: &Comparison) -> Option<HeatMap> {
    let varied = comparison.varied();
    let [across, along] = &varied[..] else { return None };
    if !is_grid(across, along) {
        return None;
    }
    let count = *comparison.ratios.counts.last()?;
    let ((rows, row), (columns, column)) = (across.levels(), along.levels());
    let nothing = || vec![f64::NAN; columns.len()];
    let mut values = vec![Band { mean: nothing(), low: nothing(), high: nothing() }; rows.len()];
    for (i, variant) in comparison.variants.iter().enumerate() {
        let (band, error) = (&mut values[row[i]], &variant.error);
        for (cell, of) in
            [(&mut band.mean, &error.mean), (&mut band.low, &error.low), (&mut band.high, &error.high)]
        {
            cell[column[i]] = of.get(count).copied().unwrap_or(f64::NAN);
        }
    }
    Some(HeatMap {
        title: format!("Error at {}", comparison.first().scored.evaluation.entry(count)),
        x_label: along.key.clone(),
        y_label: across.key.clone(),
        value_label: comparison.first().scored.evaluation.score_label(),
        columns,
        rows,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn varied_of(all: &[Settings]) -> Vec<VariedKey> {
        varied(&all.iter().collect::<Vec<_>>())
    }

    #[test]
    fn settings_that_change_together_are_one_and_those_that_are_the_same_are_none() {
        let of = |n: &str, name: &str| {
            settings(&[("d", "20"), ("kind", name), ("loops.start", n), ("loops.end", n)])
        };
        let varied = varied_of(&[of("5", "\"a\""), of("20", "\"b\""), of("10", "\"c\"")]);
        assert_eq!(varied.len(), 1);
        assert_eq!(varied[0].key, "loops.start", "the first that is a number");
        assert_eq!(varied[0].levels(), (["5", "10", "20"].map(String::from).to_vec(), vec![0, 2, 1]));
    }

    #[test]
    fn a_setting_that_one_variant_lacks_is_no_number() {
        let varied = varied_of(&[settings(&[("n", "5")]), settings(&[])]);
        assert_eq!(varied[0].numbers(), None);
        assert_eq!(varied[0].levels().0, ["5", "not set"]);
    }

    #[test]
    fn two_settings_make_a_grid_if_they_vary_independently() {
        let of = |n: &str, loops: &str| settings(&[("n", n), ("loops", loops)]);
        let grid = varied_of(&[of("5", "10"), of("5", "20"), of("15", "10"), of("15", "20")]);
        assert!(is_grid(&grid[0], &grid[1]));
        let corner = varied_of(&[of("5", "10"), of("5", "20"), of("15", "10")]);
        assert!(is_grid(&corner[0], &corner[1]), "with a cell left empty");
        let twice = varied_of(&[of("5", "10"), of("5", "20"), of("15", "10"), of("15", "10")]);
        assert!(!is_grid(&twice[0], &twice[1]));
    }
}
