//! The tables: errors, costs, and what tells the variants apart.

use looped_eval::Curve;
use looped_report::number::{short, with_interval};
use looped_report::table::{Column, Table};

use crate::comparison::Comparison;

/// A row for each variant and baseline: its error with intervals.
pub(crate) fn errors(comparison: &Comparison) -> Table {
    let counts = comparison.reported_counts();
    let heads = counts.iter().map(|count| Column::right(format!("{count} examples")));
    let mut table = Table::new([Column::left("variant"), Column::right("seeds")].into_iter().chain(heads));
    let cells = |curve: &Curve| -> Vec<String> {
        let cell = |&count: &usize| match curve.mean.get(count) {
            Some(&mean) => with_interval(mean, curve.low[count], curve.high[count]),
            None => "–".to_owned(),
        };
        counts.iter().map(cell).collect()
    };
    for variant in &comparison.variants {
        let words = vec![variant.name.clone(), variant.runs.len().to_string()];
        table.push(words.into_iter().chain(cells(&variant.error)));
    }
    for (name, curve) in comparison.baselines.iter() {
        table.push([name.replace('_', " "), String::new()].into_iter().chain(cells(curve)));
    }
    table
}

/// A row for each variant: what it cost, and how many times the first one's cost that is.
pub(crate) fn costs(comparison: &Comparison) -> Table {
    let first = &comparison.variants[0];
    let times = format!("× {}", first.name);
    let mut table = Table::new([
        Column::left("variant"),
        Column::right("parameters"),
        Column::right("training FLOPs"),
        Column::right(&times),
        Column::right("training time"),
        Column::right(&times),
    ]);
    for variant in &comparison.variants {
        let (cost, seconds) = (variant.first().cost, variant.seconds());
        table.push([
            variant.name.clone(),
            cost.parameters.to_string(),
            format!("{:.2e}", cost.flops),
            short(cost.flops / first.first().cost.flops),
            clock(seconds),
            short(seconds / first.seconds()),
        ]);
    }
    table
}

/// A row for each variant: its seeds, and how its config differs from the first one's.
pub(crate) fn differences(comparison: &Comparison) -> Table {
    let first = &comparison.variants[0];
    let mut table = Table::new([
        Column::left("variant"),
        Column::left("seeds"),
        Column::left(format!("differs from {}", first.name)),
    ]);
    for (i, variant) in comparison.variants.iter().enumerate() {
        let difference = variant.difference_from(first);
        let words = match (i, difference.is_empty()) {
            (0, _) => "–".to_owned(),
            (_, true) => "in nothing".to_owned(),
            (_, false) => difference.join(", "),
        };
        let seeds: Vec<String> = variant.seeds().iter().map(u64::to_string).collect();
        table.push([variant.name.clone(), seeds.join(", "), words]);
    }
    table
}

/// Seconds as h:mm:ss.
#[must_use]
pub fn clock(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "–".to_owned();
    }
    let seconds = seconds.round() as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
