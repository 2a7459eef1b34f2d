//! Variants against one of them.

use super::{Confidence, Interval, Part, TwoWay};

/// The error of one run at one number of examples.
#[derive(Clone, Debug)]
pub struct Run {
    /// Which variant it is of, from 0.
    pub variant: usize,
    /// Its seed.
    pub seed: u64,
    /// Its error on all prompts, and then on each resample of them; all runs have as many.
    pub errors: Vec<f64>,
}

/// What a contrast's interval is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Paired by seed, with the variance pooled over all variants.
    Pooled,
    /// Paired by seed, with the variance of this pair.
    Paired,
    /// The variants share no seed: independent means.
    Unpaired,
    /// One of them has a single seed, or they share a single one; the interval is over prompts alone, and says nothing
    /// of other seeds.
    OneSeed,
}

/// A variant's error divided by another's.
#[derive(Clone, Debug)]
pub struct Contrast {
    /// What the interval is made of.
    pub pairing: Pairing,
    /// The ratio of each seed that both variants have, in the order of the seeds.
    pub of_seeds: Vec<(u64, f64)>,
    /// What is known of the logarithm of the ratio; `None` where an error isn't finite or is 0, as of a run that
    /// diverged.
    pub log_ratio: Option<Confidence>,
}

impl Contrast {
    /// The geometric mean of the ratio, with its interval.
    #[must_use]
    pub fn ratio(&self) -> Interval {
        self.log_ratio.as_ref().map_or(Interval::UNKNOWN, |of| of.interval().map(f64::exp))
    }
}

/// Each variant's error against that of the variant `against`; `None` at that variant itself.
///
/// # Panics
/// If there is no run of `against`, or the runs have different numbers of resamples.
#[must_use]
pub fn contrasts(runs: &[Run], variants: usize, against: usize) -> Vec<Option<Contrast>> {
    let resamples = runs[0].errors.len();
    assert!(
        runs.iter().all(|run| run.errors.len() == resamples),
        "contrasts: as many resamples for each run"
    );
    let logs: Vec<Vec<f64>> =
        runs.iter().map(|run| run.errors.iter().map(|error| error.ln()).collect()).collect();
    let table = Table { runs, logs, resamples };
    let pooled = table.pooled(variants, against);
    (0..variants)
        .map(|variant| (variant != against).then(|| table.contrast(variant, against, pooled.as_ref())))
        .collect()
}

/// Runs with the logarithms of their errors.
struct Table<'a> {
    runs: &'a [Run],
    /// (runs, resamples).
    logs: Vec<Vec<f64>>,
    resamples: usize,
}

/// What the two-way model says of each variant against one: a part for each resample.
struct Pooled(Vec<Option<Vec<Part>>>);

impl Table<'_> {
    /// The two-way model of all variants that it can hold; `None` of fewer than three.
    fn pooled(&self, variants: usize, against: usize) -> Option<Pooled> {
        // A diverged run would spoil the fit of all the others.
        let finite =
            |variant: usize| self.of(variant).all(|i| self.logs[i].iter().all(|log| log.is_finite()));
        let shares = |variant: usize| !self.common(variant, against).is_empty();
        let kept: Vec<usize> = (0..variants).filter(|&v| finite(v) && shares(v)).collect();
        let place = |variant: usize| kept.iter().position(|&other| other == variant);
        let first = place(against)?;
        if kept.len() < 3 {
            return None;
        }
        let members: Vec<usize> =
            (0..self.runs.len()).filter(|&i| place(self.runs[i].variant).is_some()).collect();
        let mut seeds: Vec<u64> = members.iter().map(|&i| self.runs[i].seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let cell = |&i: &usize| {
            let Run { variant, seed, .. } = &self.runs[i];
            Some((place(*variant)?, seeds.binary_search(seed).ok()?))
        };
        let model = TwoWay::new(&members.iter().map(cell).collect::<Option<Vec<_>>>()?)?;
        let mut parts: Vec<Option<Vec<Part>>> = vec![None; variants];
        for resample in 0..self.resamples {
            let values: Vec<f64> = members.iter().map(|&i| self.logs[i][resample]).collect();
            let fitted = model.fit(&values);
            for (place, &variant) in kept.iter().enumerate() {
                parts[variant].get_or_insert_default().push(fitted.difference(place, first));
            }
        }
        Some(Pooled(parts))
    }

    fn contrast(&self, variant: usize, against: usize, pooled: Option<&Pooled>) -> Contrast {
        let common = self.common(variant, against);
        let of_seeds =
            common.iter().map(|&(i, j)| (self.runs[i].seed, self.runs[i].errors[0] / self.runs[j].errors[0]));
        let of_seeds: Vec<(u64, f64)> = of_seeds.collect();
        let difference = |resample: usize| -> Vec<f64> {
            common.iter().map(|&(i, j)| self.logs[i][resample] - self.logs[j][resample]).collect()
        };
        let (pairing, parts) = match (common.len(), pooled.and_then(|pooled| pooled.0[variant].clone())) {
            (0, _) if self.of(variant).count().min(self.of(against).count()) == 1 => (
                Pairing::OneSeed,
                self.each(|resample| Part { error: 0.0, ..self.welch(variant, against, resample) }),
            ),
            (0, _) => (Pairing::Unpaired, self.each(|resample| self.welch(variant, against, resample))),
            (_, Some(parts)) => (Pairing::Pooled, parts),
            (1, None) => (Pairing::OneSeed, self.each(|resample| mean_of(&difference(resample)))),
            (_, None) => (Pairing::Paired, self.each(|resample| mean_of(&difference(resample)))),
        };
        Contrast { pairing, of_seeds, log_ratio: Confidence::of(parts) }
    }

    fn each(&self, part: impl Fn(usize) -> Part) -> Vec<Part> {
        (0..self.resamples).map(part).collect()
    }

    /// The runs of a variant.
    fn of(&self, variant: usize) -> impl Iterator<Item = usize> {
        (0..self.runs.len()).filter(move |&i| self.runs[i].variant == variant)
    }

    /// The runs of two variants with the same seed, in the order of the seeds.
    fn common(&self, variant: usize, against: usize) -> Vec<(usize, usize)> {
        let same = |i: usize| self.of(against).find(|&j| self.runs[j].seed == self.runs[i].seed);
        let mut pairs: Vec<(usize, usize)> = self.of(variant).filter_map(|i| Some((i, same(i)?))).collect();
        pairs.sort_by_key(|&(i, _)| self.runs[i].seed);
        pairs
    }

    /// Welch's: two independent means, each with its own variance.
    fn welch(&self, variant: usize, against: usize, resample: usize) -> Part {
        let values = |variant| self.of(variant).map(|i| self.logs[i][resample]).collect::<Vec<f64>>();
        let [a, b] = [variant, against].map(|variant| mean_of(&values(variant)));
        let [va, vb] = [a, b].map(|part| part.error.powi(2));
        let dof = (va + vb).powi(2) / (va.powi(2) / a.dof + vb.powi(2) / b.dof);
        Part { centre: a.centre - b.centre, error: (va + vb).sqrt(), dof }
    }
}

/// The mean of some values, with its standard error.
pub(super) fn mean_of(values: &[f64]) -> Part {
    let count = values.len() as f64;
    let centre = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    let error = if values.len() > 1 { (squares / (count - 1.0) / count).sqrt() } else { 0.0 };
    Part { centre, error, dof: count - 1.0 }
}
