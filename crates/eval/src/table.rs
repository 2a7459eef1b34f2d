//! An evaluation as text.

use looped_report::number::{short, with_interval};
use looped_report::table::{Column, Table};

use crate::{CONVERGED_WITHIN, Curve, Evaluation, MODEL, MODEL_EMA, SuiteEvaluation};

/// An error this small, relative to that of predicting 0, is rounding: least squares' on noiseless prompts, say.
const ROUNDING: f64 = 1e-6;

impl Evaluation {
    /// A table for a terminal: a row for each reported number of in-context examples (1, d/2, d, 2d, the last), a
    /// column for each curve, with the interval of the model's.
    ///
    /// ```text
    /// squared error / 20, mean of 1280 prompts, 90 % CI over prompts
    ///
    /// examples  model                 least_squares  averaging  knn_3
    /// --------  --------------------  -------------  ---------  -----
    ///        1  0.956 [0.921, 0.992]          0.951       1.87   1.87
    ///       10  0.519 [0.503, 0.535]          0.515       1.12  0.980
    /// ```
    #[must_use]
    pub fn table(&self) -> String {
        let counts = self.reported_counts();
        let columns = self.curves.iter().map(|(name, _)| of_curve(name));
        let mut table = Table::new([self.counts_column()].into_iter().chain(columns));
        for &k in &counts {
            let cells = self.curves.iter().map(|(name, curve)| cell(name, curve, k));
            table.push([(k + self.first()).to_string()].into_iter().chain(cells));
        }
        let title = format!("{}, mean of {} prompts, 90 % CI over prompts", self.score_label(), self.prompts);
        let failures: String = self.failures().map(|failure| format!("\n{failure}\n")).collect();
        format!("{title}\n\n{}{}{failures}", table.text(), self.heavy_tails(&counts))
    }

    /// Whether the loops converge, for a terminal: the loop at which each reported number of examples has converged, and
    /// how far the state moves in some loops.
    ///
    /// ```text
    /// examples  converged at loop
    /// --------  -----------------
    ///       10  7
    ///
    /// loop  state moves by
    /// ----  -----------------------
    ///   12  0.0312 [0.0290, 0.0334]
    /// ```
    #[must_use]
    pub fn convergence_table(&self) -> String {
        let counts: Vec<usize> =
            self.reported_counts().into_iter().filter(|&k| k < self.converged_at.len()).collect();
        let mut table = Table::new([self.counts_column(), Column::left("converged at loop")]);
        for k in counts {
            let at = match self.converged_at[k] {
                None => "not finite".to_owned(),
                Some(at) if at == self.loops && at > 1 => format!("{at}, the last"),
                Some(at) => at.to_string(),
            };
            table.push([(k + self.first()).to_string(), at]);
        }
        let rule = format!(
            "converged: the mean stays within {} % of its value after loop {}",
            CONVERGED_WITHIN * 100.0,
            self.loops
        );
        let mut text = format!("{rule}\n\n{}", table.text());
        if let Some(change) = &self.state_change
            && self.loops > 1
        {
            let mut table = Table::new([Column::right("loop"), Column::left("state moves by")]);
            for l in doubling(2, self.loops) {
                table.push([l.to_string(), interval(&change.distance, l - 1)]);
            }
            text.push_str(&format!(
                "\nstate: |Z_l - Z_(l-1)| / |Z_(l-1)|, mean of {} prompts\n\n{}",
                change.prompts,
                table.text()
            ));
        }
        text
    }

    /// A line for each mean at these numbers of examples that is mostly one prompt's, with the median beside it.
    fn heavy_tails(&self, counts: &[usize]) -> String {
        let mut text = String::new();
        for (name, curve) in self.curves.iter() {
            let told = |k: usize| curve.is_mostly_one_prompt(k, self.prompts) && curve.mean[k] > ROUNDING;
            for &k in counts.iter().filter(|&&k| told(k)) {
                let share = 100.0 * curve.largest_share[k];
                let (mean, median) = (short(curve.mean[k]), short(curve.median[k]));
                text.push_str(&format!(
                    "\n{name} with {}: one prompt makes {share:.0} % of the mean, {mean}; the median is {median}\n",
                    self.entry(k)
                ));
            }
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

    fn counts_column(&self) -> Column {
        Column::right(if self.by_length.is_empty() { "examples" } else { "length" })
    }

    /// 1, d/2, d, 2d and the last number of examples, as far as there are so many; of lengths the quarters.
    fn reported_counts(&self) -> Vec<usize> {
        let last = self.curves.iter().map(|(_, curve)| curve.mean.len()).min().unwrap_or(0).saturating_sub(1);
        if !self.by_length.is_empty() {
            let mut quarters: Vec<usize> =
                (1..=4).map(|i| (i * (last + 1)).div_ceil(4).saturating_sub(1)).collect();
            quarters.dedup();
            return quarters;
        }
        let mut counts = vec![1, self.dims / 2, self.dims, self.dims.saturating_mul(2), last];
        counts.retain(|&count| count <= last && (count > 0 || last == 0));
        counts.sort_unstable();
        counts.dedup();
        counts
    }
}

impl SuiteEvaluation {
    /// A table for a terminal: a row for each shift, its scores at the longest prompts; first the prompts as in training.
    #[must_use]
    pub fn table(&self) -> String {
        let standard = ("as in training", self.standard.curves.get(MODEL).map_or(0, |c| c.mean.len()));
        let mut rows = vec![(standard.0, standard.1.saturating_sub(1), &self.standard)];
        rows.extend(self.shifts.iter().map(|shift| {
            (shift.name.as_str(), shift.examples.last().copied().unwrap_or(0), &shift.evaluation)
        }));
        let columns = self.standard.curves.iter().map(|(name, _)| of_curve(name));
        let first = [Column::left("prompts"), Column::right("examples")];
        let mut table = Table::new(first.into_iter().chain(columns));
        for (prompts, examples, evaluation) in rows {
            let cells = self.standard.curves.iter().map(|(name, _)| {
                evaluation
                    .curves
                    .get(name)
                    .map_or_else(String::new, |curve| cell(name, curve, curve.mean.len() - 1))
            });
            table.push([prompts.to_owned(), examples.to_string()].into_iter().chain(cells));
        }
        let Evaluation { prompts, loops, .. } = self.standard;
        let mut text = format!(
            "{}, mean of {prompts} prompts after {loops} loops, 90 % CI over prompts\n\n{}",
            self.standard.score_label(),
            table.text()
        );
        for failure in self.failures() {
            text.push_str(&format!("\n{failure}\n"));
        }
        if !self.left_out.is_empty() {
            text.push_str(&format!("\nnot applicable to this task: {}\n", self.left_out.join(", ")));
        }
        text
    }
}

/// `first`, then twice as much again and again below `last`, and `last`.
fn doubling(first: usize, last: usize) -> Vec<usize> {
    let mut values: Vec<usize> =
        std::iter::successors(Some(first), |value| value.checked_mul(2)).take_while(|&v| v < last).collect();
    values.push(last);
    values
}

fn interval(curve: &Curve, k: usize) -> String {
    with_interval(curve.mean[k], curve.low[k], curve.high[k])
}

/// A column for a curve: left where each number is followed by its interval.
fn of_curve(name: &str) -> Column {
    if is_own(name) { Column::left(name) } else { Column::right(name) }
}

/// The curve after `k` examples; the model's with its interval.
fn cell(name: &str, curve: &Curve, k: usize) -> String {
    if is_own(name) { interval(curve, k) } else { short(curve.mean[k]) }
}

/// Whether a curve is the model's, and no baseline's.
fn is_own(name: &str) -> bool {
    [MODEL, MODEL_EMA].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Curves;

    fn curve(base: f64) -> Curve {
        Curve { mean: vec![base; 6], low: vec![base / 2.0; 6], high: vec![base * 2.0; 6], ..Curve::default() }
    }

    fn evaluation(least_squares: Curve) -> Evaluation {
        let curves = vec![(MODEL.into(), curve(0.5)), ("least_squares".into(), least_squares)];
        Evaluation {
            format: Evaluation::FORMAT,
            task: "linear_regression".into(),
            prompts: 1280,
            trained_on: false,
            seed: 0,
            loops: 3,
            normaliser: 2.0,
            dims: 2,
            score: "squared error".into(),
            by_length: Vec::new(),
            curves: Curves(curves),
            failed_baselines: Default::default(),
            per_loop: Curve::default(),
            baselines_per_loop: Curves::default(),
            converged_at: vec![Some(1), Some(2), Some(3), None, Some(3), Some(3)],
            state_change: None,
        }
    }

    #[test]
    fn prompts_that_the_model_was_trained_on_are_not_called_fresh() {
        let fresh = evaluation(curve(1.0));
        assert_eq!(fresh.prompts_in_words(), "1280 fresh prompts");
        assert_eq!(Evaluation { trained_on: true, ..fresh }.prompts_in_words(), "1280 training prompts");
    }

    #[test]
    fn a_mean_that_is_mostly_one_prompt_is_told_with_the_median() {
        let mut heavy = curve(1943.0);
        heavy.median = vec![0.9; 6];
        heavy.largest_share = vec![0.01, 0.02, 0.43, 0.02, 0.01, 0.01];
        let text = evaluation(heavy.clone()).table();
        let line =
            "least_squares with 2 examples: one prompt makes 43 % of the mean, 1943; the median is 0.900";
        assert!(text.lines().last() == Some(line) && text.matches("median").count() == 1, "{text}");
        let rounding = Curve { mean: vec![1e-13; 6], ..heavy };
        assert!(!evaluation(rounding).table().contains("median"));
    }

    #[test]
    fn the_table_is_aligned() {
        let evaluation = evaluation(curve(1e-9));
        assert_eq!(
            evaluation.convergence_table(),
            "\
converged: the mean stays within 5 % of its value after loop 3

examples  converged at loop
--------  -----------------
       1  2
       2  3, the last
       4  3, the last
       5  3, the last
"
        );
        assert_eq!(
            evaluation.table(),
            "\
squared error / 2, mean of 1280 prompts, 90 % CI over prompts

examples  model                least_squares
--------  -------------------  -------------
       1  0.500 [0.250, 1.00]        1.00e-9
       2  0.500 [0.250, 1.00]        1.00e-9
       4  0.500 [0.250, 1.00]        1.00e-9
       5  0.500 [0.250, 1.00]        1.00e-9
"
        );
    }
}
