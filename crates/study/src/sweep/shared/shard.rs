//! A part of a sweep's runs.

use std::fmt;
use std::str::FromStr;

/// Every `of`-th run, from the one with number `index` on.
///
/// ```
/// use looped_study::sweep::Shard;
///
/// let shard: Shard = "1/3".parse()?;
/// let runs = ["a", "b", "c", "d", "e"];
/// assert_eq!(shard.of(&runs).collect::<Vec<_>>(), [&"b", &"e"]);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// What it has of all runs, in their order.
    pub fn of<T>(self, runs: &[T]) -> impl Iterator<Item = &T> {
        runs.iter().skip(self.index).step_by(self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').map(|(index, count)| (index.trim().parse(), count.trim().parse()));
        match numbers {
            Some((Ok(index), Ok(count))) if index < count => Ok(Self { index, count }),
            _ => Err("expected INDEX/COUNT, as in 0/4 to 3/4 for four shards".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_out_every_run_once() {
        let runs: Vec<usize> = (0..11).collect();
        let mut all: Vec<usize> = (0..4)
            .flat_map(|index| Shard { index, count: 4 }.of(&runs).copied().collect::<Vec<_>>())
            .collect();
        all.sort_unstable();
        assert_eq!(all, runs);
    }

    #[test]
    fn what_is_no_shard_is_told() {
        for text in ["", "1", "4/4", "-1/4", "1/0", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().unwrap_err().contains("INDEX/COUNT"), "{text}");
        }
        assert_eq!("3/4".parse::<Shard>().unwrap().to_string(), "3/4");
    }
}
