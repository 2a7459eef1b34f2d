//! Whether all variants vary alike over their seeds, as a pooled variance takes them to.

use statrs::distribution::{ContinuousCDF, FisherSnedecor};

/// A variant is told from the others if they would vary so differently in one comparison of a hundred.
const RARE: f64 = 0.01;

/// What is less than this many times the others' standard deviation hardly moves an interval.
const MATTERS: f64 = 2.0;

/// A warning for each variant whose logarithms of errors vary more from seed to seed than those of all others together;
/// none for fewer than three variants, whose variances aren't pooled. `variants` has the errors of the seeds of each, with `entry`, as in "10 examples".
pub(super) fn warnings(variants: &[(&str, Vec<f64>)], entry: &str) -> Vec<String> {
    let spreads: Vec<Option<Spread>> = variants.iter().map(|(_, errors)| Spread::of(errors)).collect();
    let known: Vec<(&str, &Spread)> = variants
        .iter()
        .zip(&spreads)
        .filter_map(|((name, _), spread)| Some((*name, spread.as_ref()?)))
        .collect();
    if known.len() < 3 {
        return Vec::new();
    }
    let uneven = |&(name, spread): &(&str, &Spread)| {
        let others = Spread::pooled(known.iter().filter(|other| other.0 != name).map(|other| other.1))?;
        let times = (spread.variance() / others.variance()).sqrt();
        let chance = FisherSnedecor::new(spread.dof, others.dof).ok()?.sf(times * times);
        (times >= MATTERS && chance * (known.len() as f64) < RARE).then(|| {
            format!(
                "the errors of {name} with {entry} vary {times:.1} times as much from seed to seed as those of the \
                 others. The ratios' variance is pooled, which makes its interval too narrow and the others' too wide: compare \
                 those without it"
            )
        })
    };
    known.iter().filter_map(uneven).collect()
}

/// The squared deviations of logarithms from their mean, and how many of them are free.
struct Spread {
    squares: f64,
    dof: f64,
}

impl Spread {
    /// `None` of fewer than two errors, or where one isn't finite or is 0.
    fn of(errors: &[f64]) -> Option<Self> {
        let logs: Vec<f64> = errors.iter().map(|error| error.ln()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        (logs.len() > 1 && squares.is_finite()).then_some(Self { squares, dof: logs.len() as f64 - 1.0 })
    }

    /// Several together; `None` where they don't vary at all.
    fn pooled<'a>(spreads: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let sum = |a: Self, b: &Self| Self { squares: a.squares + b.squares, dof: a.dof + b.dof };
        let all = spreads.fold(Self { squares: 0.0, dof: 0.0 }, sum);
        (all.squares > 0.0).then_some(all)
    }

    fn variance(&self) -> f64 {
        self.squares / self.dof
    }
}

#[cfg(test)]
mod tests {
    use looped_core::Rng;

    use super::*;

    /// Errors of `seeds` seeds that vary by so much.
    fn errors(rng: &mut Rng, seeds: usize, spread: f64) -> Vec<f64> {
        (0..seeds).map(|_| (spread * rng.normal()).exp()).collect()
    }

    #[test]
    fn a_variant_that_sometimes_stays_on_a_plateau_is_told() {
        let steady = [0.021, 0.024, 0.019, 0.022, 0.020, 0.023];
        let unsteady = vec![0.03, 0.035, 0.61, 0.032, 0.6, 0.04];
        let others = ["a", "b", "c"].map(|name| (name, steady.to_vec()));
        let all: Vec<_> = others.iter().cloned().chain([("lstm", unsteady.clone())]).collect();
        let found = warnings(&all, "10 examples");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("the errors of lstm with 10 examples vary 1"), "{found:?}");
        assert_eq!(warnings(&others, "10 examples"), [""; 0]);
        // Two alone aren't pooled; of one seed nothing is known.
        assert_eq!(warnings(&[others[0].clone(), ("lstm", unsteady)], "10 examples"), [""; 0]);
        assert_eq!(warnings(&["a", "b", "c"].map(|name| (name, vec![0.1])), "10 examples"), [""; 0]);
    }

    #[test]
    fn alike_variants_are_hardly_ever_told_apart() {
        let mut rng = Rng::stream(1, "spreads", 0);
        for seeds in [3, 10] {
            let told = (0..1000)
                .filter(|_| {
                    let all = ["a", "b", "c", "d"].map(|name| (name, errors(&mut rng, seeds, 0.2)));
                    !warnings(&all, "10 examples").is_empty()
                })
                .count();
            assert!(told <= 20, "{told} of 1000 with {seeds} seeds");
        }
    }
}
