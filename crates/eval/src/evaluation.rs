//! What an evaluation found: the contents of `eval.json`.

use std::collections::BTreeMap;
use std::fmt;

use looped_core::Objective;
use looped_report::number::short;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Curve, StateChange};

/// The name of the model's own curve.
pub const MODEL: &str = "model";

/// The name of the curve of the model with averaged weights, where there are any.
pub const MODEL_EMA: &str = "model_ema";

/// Errors per number of in-context examples and per loop, with their 90 % CIs (bootstrap over prompts).
///
/// What is read of a file is refused unless its curves fit together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Evaluation {
    /// The version of what the file holds; 0 in files from before it was counted.
    #[serde(default)]
    pub format: u32,
    /// The task's `type`.
    pub task: String,
    /// How many prompts were scored, each once.
    pub prompts: usize,
    /// Whether the model was trained on these prompts: those of a dataset without a validation file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trained_on: bool,
    /// What the prompts and the resamples were drawn from.
    pub seed: u64,
    /// Loops of the model.
    pub loops: usize,
    /// What the squared errors were divided by; 1 for an accuracy.
    pub normaliser: f64,
    /// Coordinates of x in use.
    pub dims: usize,
    /// `squared error` (less is better) or `accuracy` (more is better).
    pub score: String,
    /// The model's curve after the last loop, that of its averaged weights (`model_ema`) where there are any, then the baselines'; entry k is for k in-context examples, or where prompts are sequences of
    /// tokens, for the length k + 1.
    pub curves: Curves,
    /// Where prompts are sequences of tokens: the model's mean score after each loop, at each length. (loops, lengths)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_length: Vec<Vec<f64>>,
    /// The baselines that failed, each with the reason: they have no curve.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_baselines: BTreeMap<String, String>,
    /// The model's score at the last query; entry l is after loop l + 1.
    pub per_loop: Curve,
    /// The same of the baselines that take a step for each loop of the model.
    #[serde(default, skip_serializing_if = "Curves::is_empty")]
    pub baselines_per_loop: Curves,
    /// The loop from which on the model's mean score stays within 5 % of its value after the last loop; entry k is for
    /// k in-context examples. Equal to `loops` where it moves to the end; `null` where that value isn't finite.
    #[serde(default)]
    pub converged_at: Vec<Option<usize>>,
    /// How far the state moves in each loop; only for models whose states can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_change: Option<StateChange>,
}

impl Serialize for Evaluation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Evaluation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let evaluation = Self::deserialize(deserializer)?;
        evaluation.check().map_err(D::Error::custom)?;
        Ok(evaluation)
    }
}

impl Evaluation {
    /// The format that is written.
    pub const FORMAT: u32 = 1;

    /// What entry 0 of a curve is for: no in-context examples, or sequences of one token.
    #[must_use]
    pub fn first(&self) -> usize {
        usize::from(!self.by_length.is_empty())
    }

    /// What a curve's entries are counted in.
    #[must_use]
    pub fn counted_in(&self) -> &'static str {
        if self.by_length.is_empty() { "in-context examples" } else { "length" }
    }

    /// Entry k of a curve in words, as in "10 examples", or "length 11".
    #[must_use]
    pub fn entry(&self, k: usize) -> String {
        if self.by_length.is_empty() { format!("{k} examples") } else { format!("length {}", k + 1) }
    }

    /// What was scored, for captions: "1280 fresh prompts", or "10 training prompts".
    #[must_use]
    pub fn prompts_in_words(&self) -> String {
        format!("{} {} prompts", self.prompts, if self.trained_on { "training" } else { "fresh" })
    }

    /// A sentence for all that readers of the scores should know: baselines that failed, a model that is worse than none.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.failures().chain(self.worse_than_nothing()).collect()
    }

    /// Squared errors are divided so that predicting 0 has about 1.
    fn worse_than_nothing(&self) -> Option<String> {
        const MUCH: f64 = 2.0;
        let last = *self.curves.get(MODEL)?.mean.last()?;
        let is_fine = last <= MUCH || self.score != Objective::SquaredError.score_name();
        (!is_fine).then(|| {
            let last = short(last);
            format!(
                "the model's error is {last}, and that of predicting 0 about 1; if more steps don't help, lower \
                 training.learning_rate or set training.gradient_clip"
            )
        })
    }

    /// A sentence for each baseline that failed.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.failed_baselines
            .iter()
            .map(|(name, why)| format!("the baseline {name} failed and has no curve: {why}"))
    }

    /// Tables and plots go by one curve's length through all of them.
    fn check(&self) -> Result<(), String> {
        if self.format > Self::FORMAT {
            return Err(format!(
                "it has format {}, and this version of looped reads formats up to {}",
                self.format,
                Self::FORMAT
            ));
        }
        let examples = self.curves.iter().next().map_or(0, |(_, curve)| curve.mean.len());
        let of_loops = [
            ("per_loop", Some(&self.per_loop)),
            ("state_change", self.state_change.as_ref().map(|c| &c.distance)),
        ];
        let of_loops = of_loops.into_iter().filter_map(|(name, curve)| Some((name, curve?, self.loops)));
        let of_loops =
            of_loops.chain(self.baselines_per_loop.iter().map(|(name, curve)| (name, curve, self.loops)));
        for (name, curve, length) in
            self.curves.iter().map(|(name, curve)| (name, curve, examples)).chain(of_loops)
        {
            let lengths = curve.lengths();
            if length == 0 || lengths.iter().any(|&other| other != length) {
                return Err(format!(
                    "{name} has {lengths:?} values as mean, low, high and so on, expected {length} of each"
                ));
            }
        }
        let (rows, loops) = (&self.by_length, self.loops);
        if !rows.is_empty() && (rows.len() != loops || rows.iter().any(|row| row.len() != examples)) {
            return Err(format!("by_length isn't {loops} rows of {examples} values"));
        }
        let converged = self.converged_at.len();
        if converged != 0 && converged != examples {
            return Err(format!("converged_at has {converged} values, expected {examples}"));
        }
        Ok(())
    }
}

/// Curves by name, in the order they were added: a JSON object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves(pub Vec<(String, Curve)>);

impl Curves {
    /// The curve called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Curve> {
        self.iter().find(|&(other, _)| other == name).map(|(_, curve)| curve)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and curves in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Curve)> {
        self.0.iter().map(|(name, curve)| (name.as_str(), curve))
    }
}

impl Serialize for Curves {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Curves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Curves;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("curves by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Curves, A::Error> {
                let mut curves = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    curves.push(entry);
                }
                Ok(Curves(curves))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
