//! An evaluation as text.

use crate::{Curve, Evaluation, MODEL};

impl Evaluation {
    /// A table for a terminal: a row for each telling number of in-context examples (1, d/2, d, 2d, the last), a
    /// column for each curve, with the interval of the model's.
    ///
    /// ```text
    /// squared error / 20, mean of 1280 prompts, 5..95 % interval
    ///
    /// examples  model                     least_squares  averaging  knn_3
    ///        1  0.956 (0.921 .. 0.992)            0.951       1.87   1.87
    ///       10  0.519 (0.503 .. 0.535)            0.515       1.12   0.98
    /// ```
    #[must_use]
    pub fn table(&self) -> String {
        let counts = self.telling_counts();
        let mut columns = vec![column("examples", counts.iter().map(usize::to_string), Side::Right)];
        for (name, curve) in self.curves.iter() {
            let cells: Vec<String> = counts
                .iter()
                .map(|&k| if name == MODEL { interval(curve, k) } else { number(curve.mean[k]) })
                .collect();
            let side = if name == MODEL { Side::Left } else { Side::Right };
            columns.push(column(name, cells, side));
        }
        let mut text =
            format!("{}, mean of {} prompts, 5..95 % interval\n\n", self.score_label(), self.prompts);
        for line in 0..=counts.len() {
            let cells: Vec<&str> = columns.iter().map(|column| column[line].as_str()).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// What the numbers are, as in `squared error / 20`.
    #[must_use]
    pub fn score_label(&self) -> String {
        if self.normaliser == 1.0 {
            self.score.clone()
        } else {
            format!("{} / {}", self.score, self.normaliser)
        }
    }

    /// 1, d/2, d, 2d and the last number of examples, as far as there are so many.
    fn telling_counts(&self) -> Vec<usize> {
        let last = self.curves.iter().map(|(_, curve)| curve.mean.len()).min().unwrap_or(0).saturating_sub(1);
        let mut counts = vec![1, self.dims / 2, self.dims, 2 * self.dims, last];
        counts.retain(|&count| count <= last && (count > 0 || last == 0));
        counts.sort_unstable();
        counts.dedup();
        counts
    }
}

/// Where a column's cells are set.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// The heading and cells of a column, padded to one width.
fn column(heading: &str, cells: impl IntoIterator<Item = String>, side: Side) -> Vec<String> {
    let lines: Vec<String> = std::iter::once(heading.to_owned()).chain(cells).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let pad = |line: String| match side {
        Side::Left => format!("{line:<width$}"),
        Side::Right => format!("{line:>width$}"),
    };
    lines.into_iter().map(pad).collect()
}

fn interval(curve: &Curve, k: usize) -> String {
    format!("{} ({} .. {})", number(curve.mean[k]), number(curve.low[k]), number(curve.high[k]))
}

/// Three significant digits.
fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "not finite".into()
    } else if size == 0.0 {
        "0".into()
    } else if !(1e-4..1e5).contains(&size) {
        format!("{value:.2e}")
    } else {
        let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
        format!("{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Curves;

    #[test]
    fn numbers_have_three_digits() {
        let values = [0.0, 1.0, 0.51934, 0.0204, 0.00048, 0.0000123, 12.345, 123.4, 1e7, f64::NAN];
        let expected =
            ["0", "1.00", "0.519", "0.0204", "0.000480", "1.23e-5", "12.3", "123", "1.00e7", "not finite"];
        assert_eq!(values.map(number), expected);
    }

    #[test]
    fn the_table_is_aligned() {
        let curve =
            |base: f64| Curve { mean: vec![base; 6], low: vec![base / 2.0; 6], high: vec![base * 2.0; 6] };
        let curves = vec![(MODEL.into(), curve(0.5)), ("least_squares".into(), curve(1e-9))];
        let evaluation = Evaluation {
            task: "linear_regression".into(),
            prompts: 1280,
            seed: 0,
            loops: 3,
            normaliser: 2.0,
            dims: 2,
            score: "squared error".into(),
            curves: Curves(curves),
            per_loop: Curve::default(),
        };
        assert_eq!(
            evaluation.table(),
            "\
squared error / 2, mean of 1280 prompts, 5..95 % interval

examples  model                  least_squares
       1  0.500 (0.250 .. 1.00)        1.00e-9
       2  0.500 (0.250 .. 1.00)        1.00e-9
       4  0.500 (0.250 .. 1.00)        1.00e-9
       5  0.500 (0.250 .. 1.00)        1.00e-9
"
        );
    }
}
