//! When a run could stop, as a section of the report and as tables.

use looped_eval::Curve as Numbers;
use looped_lab::Exits;
use looped_lab::exits::{Axis, Difficulty, Rule};
use looped_report::number::{short, with_interval};
use looped_report::plot::{Band, Curve, Figure, Reference};
use looped_report::report::{Part, Section};
use looped_report::table::{Column, Table};

use crate::figures::{band, counted_from, on_its_scale};
use crate::run_report::plot;

pub(super) fn section(name: &str, found: &Exits) -> Section {
    let mut section = Section::new("When could it stop?");
    section.parts.push(Part::Paragraph(about(found)));
    let caption = format!(
        "Error at the last query against the mean number of loops, each rule at thresholds from high to low, 90 % CI over {} prompts shaded. \"All after \
         the same loop\" needs no rule; no rule lies below the oracle.",
        found.prompts
    );
    section.parts.push(plot(&format!("{name}_front"), front(found), caption));
    let caption = "The same error divided by the expected one of dealing a rule's exit loops out to the prompts at random: below 1 the rule knows which \
                   prompts need more loops.";
    section.parts.push(plot(&format!("{name}_gain"), gain(found), caption));
    for difficulty in &found.difficulties {
        let axis = match difficulty.axis {
            Axis::Examples => "examples",
            Axis::Dims => "dims",
        };
        let caption = format!(
            "The loop at which each rule stops, at the threshold at which it takes half of the loops on the mean of the prompts as they are; 90 % CI over {} \
             prompts shaded. Oracle: the loop of each prompt's least error.",
            difficulty.prompts
        );
        section.parts.push(plot(&format!("{name}_by_{axis}"), over(found, difficulty), caption));
    }
    section
}

fn about(found: &Exits) -> String {
    format!(
        "Rules applied after training, on {} prompts of {} points and {} loops ({} trained); the answer is the prediction at the last query. Prediction: \
         how much it has changed in a loop, relative to the size of y. State: |Z_l - Z_(l-1)| / |Z_l| over all tokens. Acceleration: the same of the \
         change of the step, in two loops in a row. Context: the root mean squared residual of the prompt's own examples, each predicted from the others, \
         relative to the size of y. A rule stops at the first loop at which its number is below a threshold, and else after the last.",
        found.prompts, found.points, found.loops, found.trained
    )
}

/// The rules at the threshold and half way, the bounds, and which rules never fire.
pub(super) fn tables(found: &Exits) -> String {
    let mut text = format!("{}\n\n{}", about(found), rules(found));
    for rule in found.rules.iter().filter(|rule| rule.at_threshold.fires == 0.0) {
        let why = match rule.fires_above {
            Some(least) => format!("for some prompt it is below {}", short(least * 1.001)),
            None => "it never could: its number is there after the last loop at the earliest".to_owned(),
        };
        text.push_str(&format!(
            "\n{} never fires at {} before the last loop; {why}\n",
            rule.name,
            short(found.threshold)
        ));
    }
    text.push_str(&format!("\n{}", bounds(found)));
    text
}

fn rules(found: &Exits) -> String {
    let mut table = Table::new([
        Column::left("rule"),
        Column::right("fires"),
        Column::right("mean loops"),
        Column::left("error"),
        Column::right("half way: threshold"),
        Column::right("mean loops"),
        Column::left("error"),
        Column::right("at random"),
    ]);
    for rule in &found.rules {
        let (at, front) = (&rule.at_threshold, &rule.front);
        let half = half_way(rule);
        table.push([
            rule.name.clone(),
            format!("{:.0} %", 100.0 * at.fires),
            short(at.mean_loops),
            entry(&at.error, 0),
            short(rule.half_way),
            short(front.mean_loops[half]),
            entry(&front.error, half),
            short(front.random[half].unwrap_or(f64::NAN)),
        ]);
    }
    format!(
        "{}, mean of {} prompts, 90 % CI over prompts; first at the threshold {}, for which part of the prompts it fires before the last loop; then at \
         the one at which it takes nearest to half of the loops, beside the same exits dealt out at random\n\n{}",
        found.score,
        found.prompts,
        short(found.threshold),
        table.text()
    )
}

fn half_way(rule: &Rule) -> usize {
    rule.front.thresholds.iter().position(|threshold| *threshold == rule.half_way).unwrap_or(0)
}

fn bounds(found: &Exits) -> String {
    let mut table =
        Table::new([Column::left("without a rule"), Column::right("mean loops"), Column::left("error")]);
    table.push([
        "oracle: the best loop of each prompt".to_owned(),
        short(found.oracle_loops),
        entry(&found.oracle, 0),
    ]);
    let half = (found.loops / 2).max(1);
    for (words, l) in [
        ("all after half of the loops", half),
        ("all after the trained loops", found.trained.clamp(1, found.loops)),
        ("all after the last loop", found.loops),
    ] {
        table.push([words.to_owned(), l.to_string(), entry(&found.fixed, l - 1)]);
    }
    table.text()
}

fn entry(curve: &Numbers, at: usize) -> String {
    with_interval(curve.mean[at], curve.low[at], curve.high[at])
}

/// From few loops to many, as a figure's readers go.
fn from_few(rule: &Rule, values: impl Fn(usize) -> [f64; 3]) -> Curve {
    let mut x = Vec::new();
    let mut band = Band::default();
    for i in (0..rule.front.thresholds.len()).rev() {
        let [mean, low, high] = values(i);
        x.push(rule.front.mean_loops[i]);
        band.mean.push(mean);
        band.low.push(low);
        band.high.push(high);
    }
    Curve::model(&rule.name, x, band)
}

fn front(found: &Exits) -> Figure {
    let of_rule = |rule: &Rule| {
        let Numbers { mean, low, high, .. } = &rule.front.error;
        from_few(rule, |i| [mean[i], low[i], high[i]])
    };
    let mut curves: Vec<Curve> = found.rules.iter().map(of_rule).collect();
    let fixed = Band::line(found.fixed.mean.clone());
    curves.push(Curve::baseline("all after the same loop", counted_from(1, found.loops), fixed));
    let front = &found.oracle_front;
    let errors = front.error.iter().map(|error| error.unwrap_or(f64::NAN)).collect();
    curves.push(Curve::baseline("oracle", front.mean_loops.clone(), Band::line(errors)));
    on_its_scale(Figure {
        curves,
        ..Figure::new("", "mean loops", format!("{} at the last query", found.score))
    })
}

fn gain(found: &Exits) -> Figure {
    let of_rule = |rule: &Rule| {
        let ratio = |i: usize| rule.front.error.mean[i] / rule.front.random[i].unwrap_or(f64::NAN);
        from_few(rule, |i| [ratio(i), f64::NAN, f64::NAN])
    };
    let curves = found.rules.iter().map(of_rule).collect();
    let reference = Some(Reference { y: 1.0, label: "at random".to_owned() });
    Figure { curves, reference, ..Figure::new("", "mean loops", "error / that at random") }
}

fn over(found: &Exits, difficulty: &Difficulty) -> Figure {
    let x = || difficulty.values.iter().map(|value| *value as f64).collect::<Vec<f64>>();
    let rules = found.rules.iter().zip(&difficulty.exits);
    let mut curves: Vec<Curve> =
        rules.map(|(rule, exits)| Curve::model(&rule.name, x(), band(exits))).collect();
    curves.push(Curve::baseline("oracle", x(), band(&difficulty.oracle)));
    Figure { curves, ..Figure::new("", difficulty.axis.label(), "exit loop") }
}
