//! Draws a report with figures of the kinds that runs have, from made-up numbers, to be looked at after a change.
//!
//! ```text
//! cargo run -p looped-report --example gallery -- /tmp/gallery
//! ```

use looped_report::number::with_interval;
use looped_report::plot::{
    Band, Curve, Drawing, Figure, HeatMap, Intervals, Marker, Palette, Reference, Scale, Seed,
};
use looped_report::report::{Part, Report, Section};
use looped_report::table::{Column, Table};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: gallery FOLDER")?;
    let figures: [(&str, Drawing); 14] = [
        ("examples_linear", error_by_examples().into()),
        ("examples_log", log(error_by_examples()).into()),
        ("peak", peak().into()),
        ("loops", error_by_loops().into()),
        ("variants", variants().into()),
        ("ordered", ordered(6).into()),
        ("seeds", seeds().into()),
        ("sweep", sweep().into()),
        ("pairs", pairs().into()),
        ("many", ordered(14).into()),
        ("training", training().into()),
        ("blocks", blocks().into()),
        ("letters", letters().into()),
        ("empty", Figure::new("Nothing yet", "in-context examples", "squared error").into()),
    ];
    let mut curves = Section::new("Figures");
    for (name, figure) in figures {
        let caption = format!("A caption: what {name} shows, and what is shaded.");
        curves.parts.push(Part::Plot { name: name.into(), figure, caption });
    }
    let mut numbers = Section::new("Numbers");
    numbers.parts.push(Part::Paragraph("Squared error / d with 10, 20 and 40 in-context examples.".into()));
    numbers.parts.push(Part::Table(table()));
    let mut again = Section::new("To repeat it");
    again.parts.push(Part::Code("looped sweep experiments/study/a_last_n.toml --out runs/last_n\n".into()));
    let report = Report { title: "A gallery of figures".into(), sections: vec![numbers, curves, again] };
    report.write(Path::new(&folder))?;
    println!("{}", table().text());
    Ok(())
}

fn table() -> Table {
    let names = ["10", "20", "40"].map(Column::right);
    let mut table = Table::new([Column::left("curve")].into_iter().chain(names));
    for curve in error_by_examples().curves {
        let Band { mean, low, high } = curve.band;
        let numbers = [10, 20, 40].map(|k: usize| with_interval(mean[k], low[k], high[k]));
        table.push([curve.name].into_iter().chain(numbers));
    }
    table
}

/// An interval that is the mean times and over a factor.
fn band(mean: impl Iterator<Item = f64>, factor: f64) -> Band {
    let mean: Vec<f64> = mean.collect();
    let [low, high] = [1.0 / factor, factor].map(|by| mean.iter().map(|v| v * by).collect());
    Band { mean, low, high }
}

/// Roughly the curves of the paper's figure for linear regression, d = 20, over 0 to 40 examples.
fn looped(k: f64) -> f64 {
    if k < 20.0 { 1.0 - k / 20.8 + 0.004 } else { 0.0242 * (-(k - 20.0) / 3.0).exp() + 0.00078 }
}

fn error_by_examples() -> Figure {
    let points = || (0..=40).map(f64::from);
    let x = || points().collect::<Vec<_>>();
    let mut figure = Figure::new("Linear regression, d = 20", "in-context examples", "squared error / d");
    figure.curves = vec![
        Curve::model("looped transformer", x(), band(points().map(looped), 1.12)),
        Curve::baseline("least squares", x(), band(points().map(|k| (1.0 - k / 20.0).max(0.0)), 1.05)),
        Curve::baseline(
            "averaging",
            x(),
            band(points().map(|k| if k == 0.0 { 1.0 } else { 21.0 / (20.0 + k) * 0.9 }), 1.04),
        ),
        Curve::baseline("knn 3", x(), band(points().map(|k| 1.0 - 0.25 * (k / 40.0).sqrt()), 1.04)),
    ];
    figure
}

fn error_by_loops() -> Figure {
    let points = || (1..=500).map(f64::from);
    let curve = |rate: f64, end: f64| points().map(move |t| (-t * rate).exp() + end);
    let x = || points().collect::<Vec<_>>();
    let diverging = points().map(|t| (-t * 0.3).exp() + 0.002 + ((t - 30.0) * 0.2).max(0.0).exp() * 1e-4);
    let mut figure = Figure::new("Error at the last query, over loops", "loops", "squared error / d");
    (figure.x_scale, figure.y_scale) = (Scale::Log, Scale::Log);
    figure.ceiling = Some(2.0);
    figure.curves = vec![
        Curve::model("with injection", x(), band(curve(0.3, 0.0012), 1.2)),
        Curve::model("without injection", x(), band(diverging, 1.2)),
    ];
    figure.markers = vec![
        Marker { x: 20.0, label: "trained: 20 loops".into() },
        Marker { x: 30.0, label: "trained: 30 loops".into() },
    ];
    figure.reference = Some(Reference { y: 1.0, label: "predicting zero".into() });
    figure
}

fn variants() -> Figure {
    let points = || (0..=40).map(f64::from);
    let x = || points().collect::<Vec<_>>();
    let mut figure = log(error_by_examples());
    figure.title =
        "Injection of the last n tokens only, against all tokens, mean and interval over three seeds".into();
    figure.curves.remove(0);
    for (i, name) in ["all tokens", "last 75", "last 55", "last 20"].into_iter().enumerate() {
        let worse = 1.0 + 2.0 * i as f64;
        let band = band(points().map(|k| (looped(k) * worse).min(1.0 - k / 60.0)), 1.3);
        figure.curves.insert(i, Curve::model(name, x(), band));
    }
    figure
}

/// Least squares with noise: a peak of 10^3 where there are as many examples as dimensions.
fn peak() -> Figure {
    let mut figure = log(error_by_examples());
    figure.title = "A peak of 1000".into();
    figure.curves[1].band.mean[20] = 1000.0;
    figure.curves[1].band.high[20] = 3000.0;
    figure.cap_outliers()
}

/// Values of a number, from the lowest to the highest.
fn ordered(count: usize) -> Figure {
    let mut figure = variants();
    figure.title = "last n tokens".into();
    figure.palette = Palette::Ordered;
    figure.curves.retain(|curve| curve.name == "least squares");
    for i in 0..count {
        let worse = 40.0 * 0.6_f64.powi(i as i32);
        let mean = (0..=40).map(f64::from).map(|k| (looped(k) * worse).min(1.0 - k / 60.0));
        figure.curves.push(Curve::model(
            format!("n = {}", 5 * (i + 1)),
            (0..=40).map(f64::from).collect(),
            band(mean, 1.0),
        ));
    }
    figure
}

/// Three seeds each, drawn one by one.
fn seeds() -> Figure {
    let mut figure = log(error_by_examples());
    figure.title = "Three seeds each".into();
    for (i, name) in ["all tokens", "last 20"].into_iter().enumerate() {
        let worse = 1.0 + 4.0 * i as f64;
        let curve =
            |by: f64| (0..=40).map(f64::from).map(|k| (looped(k) * worse * by).min(1.0 - k / 60.0)).collect();
        let mut of_seeds = Curve::model(name, (0..=40).map(f64::from).collect(), Band::line(curve(1.0)));
        of_seeds.seeds = [0.7, 1.1, 1.25]
            .into_iter()
            .enumerate()
            .map(|(seed, by)| Seed { name: format!("seed {seed}"), values: curve(by) })
            .collect();
        figure.curves.insert(i, of_seeds);
    }
    figure.curves.retain(|curve| curve.name != "looped transformer");
    figure
}

/// The figure that a sweep over one number asks for.
fn sweep() -> Figure {
    let mut figure = Figure::new("", "model.injection.n", "squared error / d");
    figure.y_scale = Scale::Log;
    figure.intervals = Intervals::Bars;
    figure.palette = Palette::Ordered;
    let n = || vec![5.0, 10.0, 20.0, 40.0, 75.0];
    for (examples, by) in [(10, 12.0), (20, 2.0), (40, 0.3)] {
        let mean = n().into_iter().map(|n: f64| by * 0.04 * (1.0 + 20.0 / n));
        figure.curves.push(Curve::model(format!("{examples} examples"), n(), band(mean, 1.3)));
    }
    figure.curves[2].band.mean[0] = 1000.0;
    figure.curves[2].band.high[0] = 4000.0;
    figure.cap_outliers()
}

fn pairs() -> HeatMap {
    let loops = [5.0, 10.0, 20.0, 40.0];
    let row = |n: f64| band(loops.into_iter().map(move |loops| 0.9 / (1.0 + 0.02 * n * loops)), 1.2);
    let rows = [5.0, 15.0, 75.0];
    HeatMap {
        title: "Error at 40 examples".into(),
        x_label: "loops".into(),
        y_label: "n".into(),
        value_label: "squared error / d, 90 % CI".into(),
        columns: loops.map(|loops| loops.to_string()).to_vec(),
        rows: rows.map(|n| n.to_string()).to_vec(),
        values: rows.map(row).to_vec(),
    }
}

/// Names that the carried font has no letters for.
fn letters() -> Figure {
    let mut figure = error_by_examples();
    figure.curves[0].name = "東京 größer أهلا 🚀".into();
    figure.title = "線形回帰, d = 20".into();
    figure
}

fn log(mut figure: Figure) -> Figure {
    figure.y_scale = Scale::Log;
    figure
}

fn training() -> Figure {
    let mut figure = Figure::new("", "training steps", "validation loss");
    let points = || (0..20_000).step_by(10).map(f64::from);
    let noise = |s: f64| 1.0 + 0.12 * (s * 12.9898).sin() + 0.08 * (s * 78.233).sin();
    for (name, start) in [("1 block", 9000.0), ("2 blocks", 6000.0), ("4 blocks", 4000.0)] {
        let loss = points().map(|s: f64| noise(s) * (0.03 + 1.0 / (1.0 + ((s - start) / 700.0).exp())));
        figure.curves.push(Curve::model(name, points().collect(), Band::line(loss.collect())));
    }
    figure
}

fn blocks() -> Figure {
    let mut figure = Figure::new("Blocks a loop", "FLOPs of the training", "squared error / d");
    (figure.x_scale, figure.y_scale) = (Scale::Log, Scale::Log);
    let mean = [0.05, 0.011, 0.004].into_iter();
    figure.curves.push(Curve::model("transformer", vec![1.2e15, 2.4e15, 4.8e15], band(mean, 1.4)));
    let mean = [0.09, 0.051, 0.06].into_iter();
    figure.curves.push(Curve::model("LSTM", vec![0.8e15, 1.6e15, 3.2e15], band(mean, 1.3)));
    figure
}
