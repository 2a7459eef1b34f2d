//! The numbers of a figure as CSV, a line for each point.

use super::{Band, Figure, HeatMap};
use crate::escape::one_line;
use crate::number::exact;

impl Figure {
    /// Every point of every curve: its curve, x, y and interval. Points of seeds follow their mean's.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = line(["curve", &self.x_label, &self.y_label, "low", "high"].map(quoted));
        for curve in &self.curves {
            points(&mut text, &curve.name, &curve.x, &curve.band);
            for seed in &curve.seeds {
                let name = format!("{}, {}", curve.name, seed.name);
                points(&mut text, &name, &curve.x, &Band::line(seed.values.clone()));
            }
        }
        text
    }
}

impl HeatMap {
    /// Every cell: its row, column, value and interval.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = line([&self.y_label, &self.x_label, &self.value_label, "low", "high"].map(quoted));
        for (i, row) in self.rows.iter().enumerate() {
            for (j, column) in self.columns.iter().enumerate() {
                let [mean, low, high] = self.cell(i, j).map(exact);
                text.push_str(&line([quoted(row), quoted(column), mean, low, high]));
            }
        }
        text
    }
}

fn points(text: &mut String, name: &str, x: &[f64], band: &Band) {
    for (i, (x, mean)) in x.iter().zip(&band.mean).enumerate() {
        let end = |values: &Vec<f64>| exact(values.get(i).copied().unwrap_or(f64::NAN));
        text.push_str(&line([quoted(name), exact(*x), exact(*mean), end(&band.low), end(&band.high)]));
    }
}

fn line(cells: [String; 5]) -> String {
    cells.join(",") + "\n"
}

/// A text as a cell; one with a comma or a quote, or an empty one, is put in quotes.
fn quoted(text: impl AsRef<str>) -> String {
    let text = one_line(text.as_ref());
    if text.is_empty() || text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Curve, Seed};
    use super::*;

    #[test]
    fn every_point_is_a_line_and_names_are_quoted_where_they_must_be() {
        let mut figure = Figure::new("", "loops", "squared error, \"raw\"");
        let band = Band { mean: vec![0.5, 1.0 / 3.0], low: vec![0.4, f64::NAN], high: vec![0.6, 1.0] };
        let mut curve = Curve::model("n = 5, all", vec![1.0, 2.0], band);
        curve.seeds.push(Seed { name: "seed 3".into(), values: vec![1e-15, f64::INFINITY] });
        figure.curves = vec![curve, Curve::baseline("", vec![12_345_678.0], Band::line(vec![0.0]))];
        let expected = "\
curve,loops,\"squared error, \"\"raw\"\"\",low,high
\"n = 5, all\",1,0.5,0.4,0.6
\"n = 5, all\",2,0.3333333333333333,,1
\"n = 5, all, seed 3\",1,1e-15,,
\"n = 5, all, seed 3\",2,inf,,
\"\",12345678,0,,
";
        assert_eq!(figure.csv(), expected);
    }
}
