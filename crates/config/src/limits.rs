//! The numbers that a schema allows, and words for them.

use serde_json::Value as Schema;

/// The smallest and largest number, and what all must be multiples of.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    min: f64,
    max: f64,
    /// Whether `min` itself is too small.
    above: bool,
    /// Whether `max` itself is too large.
    below: bool,
    step: Option<f64>,
}

impl Limits {
    pub(crate) fn of(schema: &Schema) -> Self {
        let number = |key: &str| schema.get(key).and_then(Schema::as_f64);
        let (smallest, largest) = match schema.get("format").and_then(Schema::as_str) {
            Some("uint8") => (0.0, 255.0),
            Some("uint16") => (0.0, 65_535.0),
            Some("uint32") => (0.0, 4_294_967_295.0),
            Some("int8") => (-128.0, 127.0),
            Some("int16") => (-32_768.0, 32_767.0),
            Some("int32") => (-2_147_483_648.0, 2_147_483_647.0),
            Some(format) if format.starts_with("uint") => (0.0, f64::INFINITY),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let (above, below) = (number("exclusiveMinimum"), number("exclusiveMaximum"));
        let min = number("minimum").map_or(smallest, |min| min.max(smallest));
        let max = number("maximum").map_or(largest, |max| max.min(largest));
        Self {
            min: above.map_or(min, |above| above.max(min)),
            max: below.map_or(max, |below| below.min(max)),
            above: above.is_some_and(|above| above >= min),
            below: below.is_some_and(|below| below <= max),
            step: number("multipleOf").filter(|&step| step > 0.0),
        }
    }

    pub(crate) fn allow(self, x: f64) -> bool {
        let low = if self.above { x > self.min } else { x >= self.min };
        let high = if self.below { x < self.max } else { x <= self.max };
        low && high && self.step.is_none_or(|step| (x / step).fract() == 0.0)
    }

    /// As in `1 to 1000`, `at least 0`, `above 0, at most 10`, `multiples of 4`.
    pub(crate) fn words(self) -> Option<String> {
        let low = self.min.is_finite().then(|| plain(self.min));
        let high = self.max.is_finite().then(|| plain(self.max));
        let range = match (low, high) {
            (Some(low), Some(high)) if !self.above && !self.below => Some(format!("{low} to {high}")),
            (low, high) => {
                let low = low.map(|low| format!("{} {low}", if self.above { "above" } else { "at least" }));
                let high =
                    high.map(|high| format!("{} {high}", if self.below { "below" } else { "at most" }));
                let both: Vec<String> = low.into_iter().chain(high).collect();
                (!both.is_empty()).then(|| both.join(", "))
            }
        };
        let step = self.step.map(|step| format!("multiples of {}", plain(step)));
        let all: Vec<String> = step.into_iter().chain(range).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// A limit, without `.0`, and with an exponent where it would be long.
fn plain(x: f64) -> String {
    if x != 0.0 && !(1e-4..1e15).contains(&x.abs()) { format!("{x:e}") } else { x.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_limit_is_kept_and_said() {
        let cases = [
            (json!({ "minimum": 1, "maximum": 9 }), "1 to 9", vec![1.0, 9.0], vec![0.9, 9.1]),
            (json!({ "exclusiveMinimum": 0 }), "above 0", vec![1e-300], vec![0.0]),
            (
                json!({ "minimum": 0, "exclusiveMaximum": 1 }),
                "at least 0, below 1",
                vec![0.0, 0.999],
                vec![-0.1, 1.0],
            ),
            (json!({ "minimum": 2, "exclusiveMinimum": 0 }), "at least 2", vec![2.0], vec![1.0]),
            (
                json!({ "multipleOf": 4, "minimum": 4 }),
                "multiples of 4, at least 4",
                vec![4.0, 8.0],
                vec![0.0, 6.0],
            ),
            (json!({ "format": "uint8", "maximum": 300 }), "0 to 255", vec![255.0], vec![256.0]),
        ];
        for (schema, words, allowed, refused) in cases {
            let limits = Limits::of(&schema);
            assert_eq!(limits.words().as_deref(), Some(words));
            assert!(allowed.into_iter().all(|x| limits.allow(x)), "{schema}");
            assert!(!refused.into_iter().any(|x| limits.allow(x)), "{schema}");
        }
        assert_eq!(Limits::of(&json!({})).words(), None);
    }
}
