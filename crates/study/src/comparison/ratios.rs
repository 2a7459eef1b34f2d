//! Each variant's error against one variant's.

use looped_eval::Evaluation;

use crate::comparison::CompareOptions;
use crate::comparison::align::Basis;
use crate::comparison::spreads;
use crate::comparison::variant::Variant;
use crate::statistics::{
    Contrast, Interval, Judged, Pairing, Run, Scale, Spread, contrasts, judge, seeds_to_show,
};

/// The differences that the line on power is about.
const RATIOS: [f64; 3] = [1.1, 1.25, 1.5];

/// The ratios of all variants at some numbers of examples.
pub(crate) struct Ratios {
    /// The variant that the others are divided by.
    pub(crate) against: usize,
    /// Errors that differ by less than this factor count as equal.
    pub(crate) margin: f64,
    /// The numbers of examples.
    pub(crate) counts: Vec<usize>,
    /// (counts, variants); none at the variant itself.
    pub(crate) cells: Vec<Vec<Option<Ratio>>>,
    spread: Option<Spread>,
}

/// A variant's error divided by that of another.
pub(crate) struct Ratio {
    pub(crate) contrast: Contrast,
    pub(crate) ratio: Interval,
    pub(crate) judged: Judged,
}

impl Ratios {
    pub(crate) fn of(
        variants: &[Variant],
        against: usize,
        counts: &[usize],
        options: &CompareOptions,
    ) -> Self {
        let columns: Vec<Vec<Option<Contrast>>> =
            counts.iter().map(|&count| contrasts(&runs(variants, count), variants.len(), against)).collect();
        let all: Vec<&Contrast> = columns.iter().flatten().flatten().collect();
        let mut judged = judge(&all, options.margin).into_iter();
        // The spread at the most examples, where the models know most.
        let last: Vec<&Contrast> = columns.last().into_iter().flatten().flatten().collect();
        let spread = Spread::of(&last, variants.len());
        let mut cell = |contrast: Option<Contrast>| {
            let contrast = contrast?;
            Some(Ratio { ratio: contrast.ratio(), judged: judged.next()?, contrast })
        };
        let cells = columns.into_iter().map(|column| column.into_iter().map(&mut cell).collect()).collect();
        Self { against, margin: options.margin, counts: counts.to_vec(), cells, spread }
    }

    /// All ratios there are, with their variant and number of examples.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, usize, &Ratio)> {
        self.counts.iter().zip(&self.cells).flat_map(|(&count, column)| {
            column
                .iter()
                .enumerate()
                .filter_map(move |(variant, cell)| Some((variant, count, cell.as_ref()?)))
        })
    }

    /// What the intervals are, as a sentence.
    pub(crate) fn interval(&self, basis: Basis) -> String {
        let has = |pairing| self.iter().any(|(_, _, ratio)| ratio.contrast.pairing == pairing);
        let mut how = vec![match basis {
            Basis::SamePrompts => "90 % CI over seeds and prompts, paired by both",
            Basis::OtherLengths => {
                "90 % CI over seeds and prompts, paired by seed alone: the prompts differ in length"
            }
            Basis::NoScores => {
                "90 % CI over seeds, paired by seed; the prompts are taken as they are, because not every run has \
                 kept their scores"
            }
        }];
        if has(Pairing::Pooled) {
            how.push("the variance is pooled over the variants");
        }
        if has(Pairing::Unpaired) {
            how.push("variants that share no seed are compared as independent means");
        }
        if has(Pairing::OneSeed) {
            how.push("with one seed it is over prompts alone, and no verdict is given");
        }
        how.join("; ")
    }

    /// A warning for each variant that varies more over its seeds than the others do, where their variance is pooled.
    pub(crate) fn uneven(&self, variants: &[Variant]) -> Vec<String> {
        let Some(&count) = self.counts.last() else { return Vec::new() };
        if !self.iter().any(|(_, _, ratio)| ratio.contrast.pairing == Pairing::Pooled) {
            return Vec::new();
        }
        let mut errors: Vec<(&str, Vec<f64>)> =
            variants.iter().map(|variant| (variant.name.as_str(), Vec::new())).collect();
        for run in runs(variants, count) {
            errors[run.variant].1.push(run.errors[0]);
        }
        spreads::warnings(&errors, &variants[0].first().scored.evaluation.entry(count))
    }

    /// How many seeds would show a difference; nothing where there is one seed.
    pub(crate) fn power(&self, evaluation: &Evaluation) -> Option<String> {
        let spread = self.spread?;
        let words = RATIOS.map(|ratio| match seeds_to_show(ratio, spread) {
            Some(seeds) => format!("{ratio} takes {seeds} seeds"),
            None => format!("{ratio} takes more prompts"),
        });
        Some(format!(
            "At the spread seen here with {}, to show a true ratio in four sweeps of five: {}.",
            evaluation.entry(*self.counts.last()?),
            words.join(", ")
        ))
    }

    /// The same as numbers: the ratio and the seeds.
    pub(crate) fn seeds_needed(&self) -> Vec<(f64, Option<usize>)> {
        let seeds = |spread| RATIOS.map(|ratio| (ratio, seeds_to_show(ratio, spread))).to_vec();
        self.spread.map_or_else(Vec::new, seeds)
    }
}

/// The errors of every run with `count` examples. An accuracy becomes the rate of wrong answers, with half an answer
/// added so that none is 0.
fn runs(variants: &[Variant], count: usize) -> Vec<Run> {
    let of_variant = |(variant, of): (usize, &Variant)| {
        let run = |run: &crate::comparison::run::FinishedRun| {
            let prompts = run.scored.evaluation.prompts as f64;
            let error = |score: f64| match run.scored.scale() {
                Scale::Errors => score,
                Scale::Accuracies => ((1.0 - score) * prompts + 0.5) / (prompts + 1.0),
            };
            let errors = run.means.over_examples.iter().map(|means| error(means[count])).collect();
            Run { variant, seed: run.seed, errors }
        };
        of.runs.iter().map(run).collect::<Vec<_>>()
    };
    variants.iter().enumerate().flat_map(of_variant).collect()
}
