//! The tables: errors, costs, and what tells the variants apart.

use std::collections::BTreeMap;

use looped_eval::Curve;
use looped_report::number::{short, with_interval};
use looped_report::table::{Column, Table};

use crate::comparison::align::Basis;
use crate::comparison::ratios::Ratio;
use crate::comparison::{Comparison, MissingRun};

/// A row for each variant but one: its error divided by that one's, and what that shows.
pub(crate) fn ratios(comparison: &Comparison) -> Table {
    let ratios = &comparison.ratios;
    let against = &comparison.variants[ratios.against].name;
    let mut columns = vec![Column::left("variant"), Column::right("seeds")];
    for &count in &ratios.counts {
        let entry = comparison.first().scored.evaluation.entry(count);
        columns.push(Column::right(format!("{entry}: × {against}")));
        columns.push(Column::left("verdict"));
    }
    let mut table = Table::new(columns);
    for (place, variant) in comparison.variants.iter().enumerate() {
        let cells: Vec<&Ratio> = ratios.cells.iter().filter_map(|column| column[place].as_ref()).collect();
        let Some(first) = cells.first() else { continue };
        let mut words = vec![variant.name.clone(), first.contrast.of_seeds.len().to_string()];
        for Ratio { ratio, judged, .. } in cells {
            words.push(with_interval(ratio.estimate, ratio.low, ratio.high));
            let verdict = judged.verdict.words(ratios.margin);
            words.push(if judged.p_holm.is_nan() {
                verdict
            } else {
                format!("{verdict} (p {})", p_value(judged.p_holm))
            });
        }
        table.push(words);
    }
    table
}

/// What the ratios are.
pub(crate) fn ratios_caption(comparison: &Comparison) -> String {
    let ratios = &comparison.ratios;
    let against = &comparison.variants[ratios.against].name;
    let what = match comparison.first().scored.scale() {
        crate::statistics::Scale::Errors => "error",
        crate::statistics::Scale::Accuracies => "rate of wrong answers",
    };
    format!(
        "Each variant's {what} divided by that of {against}, geometric mean over the seeds they share, with its {}. \
         The verdict counts errors within a factor of {} as equal; p is of a difference, by Holm's correction for the \
         whole table. \"Undecided\" is not \"no difference\".",
        ratios.interval(comparison.basis),
        ratios.margin,
    )
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// A row for each variant and baseline: its error with intervals.
pub(crate) fn errors(comparison: &Comparison) -> Table {
    let counts = &comparison.ratios.counts;
    let heads = counts.iter().map(|&count| Column::right(comparison.first().scored.evaluation.entry(count)));
    let mut table = Table::new([Column::left("variant"), Column::right("seeds")].into_iter().chain(heads));
    let cells = |curve: &Curve| -> Vec<String> {
        let cell = |&count: &usize| match curve.mean.get(count) {
            Some(&mean) => with_interval(mean, curve.low[count], curve.high[count]),
            None => "–".to_owned(),
        };
        counts.iter().map(cell).collect()
    };
    for variant in &comparison.variants {
        let words = vec![variant.name.clone(), seeds(variant.runs.len(), &variant.missing)];
        table.push(words.into_iter().chain(cells(&variant.error)));
    }
    for name in names(&comparison.missing) {
        let of_it: Vec<MissingRun> =
            comparison.missing.iter().filter(|run| run.variant == name).cloned().collect();
        let nothing = counts.iter().map(|_| "–".to_owned());
        table.push([name, seeds(0, &of_it)].into_iter().chain(nothing));
    }
    for (name, curve) in comparison.baselines.iter() {
        table.push([name.replace('_', " "), String::new()].into_iter().chain(cells(curve)));
    }
    table
}

/// What the errors and their intervals are.
pub(crate) fn errors_caption(comparison: &Comparison) -> String {
    let evaluation = &comparison.first().scored.evaluation;
    let label = evaluation.score_label();
    let several = comparison.variants.iter().any(|variant| variant.runs.len() > 1);
    let single = comparison.variants.iter().any(|variant| variant.runs.len() == 1);
    let mean = match (several, comparison.first().scored.scale()) {
        (false, _) => "mean over the prompts",
        (true, crate::statistics::Scale::Errors) => "geometric mean over the seeds",
        (true, crate::statistics::Scale::Accuracies) => "mean over the seeds",
    };
    let over = match (several, comparison.basis) {
        (false, _) => "over prompts",
        (true, Basis::NoScores) => "over seeds, the prompts taken as they are",
        (true, _) => "over seeds and prompts",
    };
    let single = if several && single { "; of a single seed, over prompts" } else { "" };
    let mut text = format!("{label}, {mean}, with its 90 % CI {over}{single}; of baselines, over prompts.");
    for (name, curve) in comparison.baselines.iter() {
        let told = |&&count: &&usize| {
            curve.is_mostly_one_prompt(count, evaluation.prompts) && curve.mean[count] > 1e-6
        };
        for &count in comparison.ratios.counts.iter().filter(told) {
            text.push_str(&format!(
                " One prompt makes {:.0} % of the mean of {} with {}; the median is {}.",
                100.0 * curve.largest_share[count],
                name.replace('_', " "),
                evaluation.entry(count),
                short(curve.median[count])
            ));
        }
    }
    let runs = comparison.variants.iter().flat_map(|variant| &variant.runs);
    let failed: BTreeMap<&String, &String> =
        runs.flat_map(|run| &run.scored.evaluation.failed_baselines).collect();
    for (name, why) in failed {
        if comparison.baselines.get(name).is_none() {
            text.push_str(&format!(" The baseline {} failed: {why}.", name.replace('_', " ")));
        }
    }
    text
}

/// A row for each variant: what it cost, and how many times the first one's cost that is.
pub(crate) fn costs(comparison: &Comparison) -> Table {
    let first = &comparison.variants[0];
    let times = format!("× {}", first.name);
    let reached = comparison.reached();
    let mut columns = vec![
        Column::left("variant"),
        Column::right("parameters"),
        Column::right("training FLOPs"),
        Column::right(&times),
        Column::right("CPU time"),
        Column::right(&times),
    ];
    columns.extend(
        reached.iter().map(|of| Column::right(format!("steps to validation loss {}", short(of.loss)))),
    );
    let mut table = Table::new(columns);
    for (place, variant) in comparison.variants.iter().enumerate() {
        let (cost, seconds) = (variant.first().cost, variant.cpu_seconds());
        let mut words = vec![
            variant.name.clone(),
            cost.parameters.to_string(),
            format!("{:.2e}", cost.flops),
            short(cost.flops / first.first().cost.flops),
            clock(seconds),
            short(seconds / first.cpu_seconds()),
        ];
        words.extend(reached.iter().map(|of| of.steps[place].to_string()));
        table.push(words);
    }
    table
}

/// What the costs are.
pub(crate) fn costs_caption(comparison: &Comparison) -> String {
    let mut text = "Parameters without positions; the time is that of training alone, in CPU seconds of all threads, mean \
                    over the seeds."
        .to_owned();
    if comparison.reached().is_some() {
        text.push_str(
            " Steps to the lowest validation loss that every variant came to: up to the first validation, mean over the \
             seeds, that was as low.",
        );
    }
    text
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

/// As in `3`, or `2 of 3; 1 diverged`.
fn seeds(finished: usize, missing: &[MissingRun]) -> String {
    if missing.is_empty() {
        return finished.to_string();
    }
    let mut why: Vec<&str> = missing.iter().map(|run| run.why.as_str()).collect();
    why.sort_unstable();
    let of_each = why.chunk_by(|a, b| a == b).map(|same| format!("; {} {}", same.len(), same[0]));
    format!("{finished} of {}{}", finished + missing.len(), of_each.collect::<String>())
}

/// The variants of runs, each once.
fn names(runs: &[MissingRun]) -> Vec<String> {
    let mut names: Vec<String> = runs.iter().map(|run| run.variant.clone()).collect();
    names.dedup();
    names
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_are_missing_are_told_with_their_reasons() {
        let run = |seed, why: &str| MissingRun { variant: "a".to_owned(), seed, why: why.to_owned() };
        assert_eq!(seeds(3, &[]), "3");
        assert_eq!(seeds(2, &[run(1, "diverged")]), "2 of 3; 1 diverged");
        assert_eq!(
            seeds(0, &[run(0, "failed"), run(1, "diverged"), run(2, "failed")]),
            "0 of 3; 1 diverged; 2 failed"
        );
    }
}
