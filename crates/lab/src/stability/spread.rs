//! Mean, median and 95th percentile.

use serde::{Deserialize, Serialize};

use crate::best::{at, sorted};

/// How values are spread; `null` where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Their mean.
    pub mean: Option<f64>,
    /// Their median.
    pub median: Option<f64>,
    /// Their 95th percentile.
    pub p95: Option<f64>,
}

impl Spread {
    /// The spread of those values that are numbers.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let values = sorted(values.filter(|value| !value.is_nan()));
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        Self {
            mean: finite(values.iter().sum::<f64>() / values.len() as f64),
            median: finite(at(&values, 0.5)),
            p95: finite(at(&values, 0.95)),
        }
    }
}

/// The spread over tokens after each loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spreads {
    /// The means.
    pub mean: Vec<Option<f64>>,
    /// The medians.
    pub median: Vec<Option<f64>>,
    /// The 95th percentiles.
    pub p95: Vec<Option<f64>>,
}

impl Spreads {
    /// The spread of each loop's values where `counts` says so.
    pub(super) fn of(loops: &[Vec<f32>], counts: &[bool]) -> Self {
        let mut spreads = Self::default();
        for values in loops {
            let values = values.iter().zip(counts).filter(|(_, counts)| **counts).map(|(v, _)| f64::from(*v));
            let Spread { mean, median, p95 } = Spread::of(values);
            spreads.mean.push(mean);
            spreads.median.push(median);
            spreads.p95.push(p95);
        }
        spreads
    }

    /// Mean, median and 95th percentile after loop `index` + 1.
    #[must_use]
    pub fn after(&self, index: usize) -> Spread {
        let at = |values: &Vec<Option<f64>>| values.get(index).copied().flatten();
        Spread { mean: at(&self.mean), median: at(&self.median), p95: at(&self.p95) }
    }
}
