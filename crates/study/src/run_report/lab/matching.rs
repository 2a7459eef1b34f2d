//! Which solver a run follows, as a section of the report and as tables.

use looped_eval::MODEL;
use looped_lab::{Agreement, Best, Match, Measure};
use looped_report::number::{short, with_interval};
use looped_report::plot::{Band, Curve, Figure, HeatMap, Scale};
use looped_report::report::{Part, Section};
use looped_report::table::{Column, Table};

use crate::figures::{band, counted_from, on_its_scale};
use crate::run_report::plot;

/// Solvers that are left out of figures of curves: a panel has six at most, and these two are slower forms of one that is shown.
const LEFT_OUT: [&str; 2] = ["gd_safe", "gd_single"];

pub(super) fn section(name: &str, found: &Match) -> Section {
    let mut section = Section::new("Which solver does it follow?");
    section.parts.push(Part::Paragraph(about(found)));
    let measured = |measure| found.agreements.iter().find(|agreement| agreement.measure == measure);
    let errors =
        "The model's error at the last query after each loop, and each solver's after as many steps.";
    section.parts.push(plot(&format!("{name}_error"), over_loops(found), errors));
    if let Some(agreement) = measured(Measure::Weights).or_else(|| measured(Measure::Errors)) {
        let label = agreement.measure.label();
        let caption = format!(
            "The step of each solver that agrees best with a loop by {label}, 90 % CI over {} prompts shaded. Dashed: one step a loop.",
            found.prompts
        );
        section.parts.push(plot(&format!("{name}_steps"), best_steps(found, agreement), caption));
        let caption = format!("How well each solver agrees with a loop at that step, by {label}.");
        section.parts.push(plot(&format!("{name}_closeness"), closeness(found, agreement), caption));
    }
    for (measure, short) in [(Measure::Errors, "sime"), (Measure::Weights, "simw")] {
        let Some(agreement) = measured(measure) else { continue };
        for (s, solver) in found.solvers.iter().enumerate() {
            let caption = format!(
                "By how much the mean {} of a loop and a step of {} is below that of the loop's best step: light is where they agree.",
                measure.label(),
                words(solver)
            );
            section.parts.push(plot(&format!("{name}_{short}_{solver}"), map(found, agreement, s), caption));
        }
    }
    section
}

fn about(found: &Match) -> String {
    let mut text = format!(
        "The model after each loop beside iterative solvers of least squares after each step, on {} prompts of {} points; each query from the \
         points before it. SimE is the cosine of the residuals over the points of a prompt. ",
        found.prompts, found.points
    );
    match &found.without_weights {
        None => text.push_str(&format!(
            "SimW is the cosine of the weights after {} examples; the model's are the least squares of its predictions at {} fresh queries. ",
            found.points - 1,
            found.queries
        )),
        Some(why) => text.push_str(&format!("There are no induced weights: {why}. ")),
    }
    if let Some(condition) = found.condition {
        text.push_str(&format!("The median condition number of X^T X is {}. ", short(condition)));
    }
    text.push_str(&format!(
        "gd has the step 2/(smallest + largest eigenvalue) of each problem, gd_safe 1/largest, gd_single {} \
         for all.",
        short(found.single_step)
    ));
    text
}

/// Two tables: what each loop is closest to, and the best step of each solver.
pub(super) fn tables(found: &Match) -> String {
    format!("{}\n\n{}\n{}", about(found), closest(found), steps(found))
}

fn closest(found: &Match) -> String {
    let mut columns = vec![Column::right("loop"), Column::left("error")];
    let shown = || found.agreements.iter().filter(|agreement| agreement.measure != Measure::Difference);
    for agreement in shown() {
        columns.push(Column::left(format!("closest by {}", agreement.measure.label())));
        columns.push(Column::left("step"));
        columns.push(Column::right(agreement.measure.label()));
    }
    columns.extend(found.linear.as_ref().map(|_| Column::right("linear")));
    let mut table = Table::new(columns);
    for index in 0..found.loops {
        let error = &found.error;
        let mut cells = vec![
            (index + 1).to_string(),
            with_interval(error.mean[index], error.low[index], error.high[index]),
        ];
        for agreement in shown() {
            let closest = &agreement.closest[index];
            let best = &agreement.best[index][closest.solver];
            cells.push(format!("{} ({:.0} %)", words(&found.solvers[closest.solver]), 100.0 * closest.share));
            cells.push(step(best));
            cells.push(short(best.value));
        }
        cells.extend(found.linear.as_ref().map(|linear| short(linear.mean[index])));
        table.push(cells);
    }
    format!(
        "90 % CI over prompts; in brackets the part of the resamples in which that solver is the closest. \"linear\": the part of the predictions \
         that is linear in the query\n\n{}",
        table.text()
    )
}

fn steps(found: &Match) -> String {
    let mut text = String::new();
    for agreement in found.agreements.iter().filter(|agreement| agreement.measure != Measure::Difference) {
        let columns = found.solvers.iter().map(|solver| Column::left(words(solver)));
        let mut table = Table::new(std::iter::once(Column::right("loop")).chain(columns));
        for (index, best) in agreement.best.iter().enumerate() {
            table.push(std::iter::once((index + 1).to_string()).chain(best.iter().map(step)));
        }
        text.push_str(&format!(
            "best step by {}, 90 % CI over prompts\n\n{}\n",
            agreement.measure.label(),
            table.text()
        ));
    }
    text
}

/// A step with its interval; that of the last that was looked at is a lower bound.
fn step(best: &Best) -> String {
    let bound = if best.at_the_end { "≥ " } else { "" };
    if best.low == best.high {
        format!("{bound}{}", best.step)
    } else {
        format!("{bound}{} [{}, {}]", best.step, best.low, best.high)
    }
}

fn over_loops(found: &Match) -> Figure {
    let mut curves = vec![Curve::model(MODEL, counted_from(1, found.loops), band(&found.error))];
    for (solver, errors) in found.solvers.iter().zip(&found.solver_errors) {
        let within = found.steps.iter().zip(errors).filter(|(step, _)| **step <= found.loops);
        let (x, y) = within.map(|(&step, error)| (step as f64, error.unwrap_or(f64::INFINITY))).unzip();
        curves.push(Curve::baseline(words(solver), x, Band::line(y)));
    }
    on_its_scale(Figure { curves, ..Figure::new("", "loops, or steps", "squared error at the last query") })
}

/// A curve for each solver that is shown.
fn of_solvers(found: &Match, band: impl Fn(usize) -> Band) -> Vec<Curve> {
    let shown = found.solvers.iter().enumerate().filter(|(_, solver)| !LEFT_OUT.contains(&solver.as_str()));
    shown.map(|(s, solver)| Curve::model(words(solver), counted_from(1, found.loops), band(s))).collect()
}

fn best_steps(found: &Match, agreement: &Agreement) -> Figure {
    let of = |s: usize, value: fn(&Best) -> f64| agreement.best.iter().map(|best| value(&best[s])).collect();
    let mut curves = of_solvers(found, |s| Band {
        mean: of(s, |best| best.step as f64),
        low: of(s, |best| best.low as f64),
        high: of(s, |best| best.high as f64),
    });
    let line = counted_from(1, found.loops);
    curves.push(Curve::baseline("one step a loop", line.clone(), Band::line(line)));
    Figure { curves, y_scale: Scale::Log, ..Figure::new("", "loops", "best step") }
}

fn closeness(found: &Match, agreement: &Agreement) -> Figure {
    let of = |s: usize, value: fn(&Best) -> f64| agreement.best.iter().map(|best| value(&best[s])).collect();
    let curves = of_solvers(found, |s| Band {
        mean: of(s, |best| best.value),
        low: of(s, |best| best.value_low),
        high: of(s, |best| best.value_high),
    });
    Figure { curves, ..Figure::new("", "loops", format!("{} at the best step", agreement.measure.label())) }
}

fn map(found: &Match, agreement: &Agreement, solver: usize) -> HeatMap {
    let row = |of_loop: &Vec<Vec<Option<f64>>>| {
        let values: Vec<f64> = of_loop[solver].iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Band::line(values.into_iter().map(|value| most - value).collect())
    };
    HeatMap {
        title: words(&found.solvers[solver]),
        x_label: "steps".to_owned(),
        y_label: "loops".to_owned(),
        value_label: format!("{} below that of the loop's best step", agreement.measure.label()),
        columns: found.steps.iter().map(usize::to_string).collect(),
        rows: (1..=found.loops).map(|index| index.to_string()).collect(),
        values: agreement.mean.iter().map(row).collect(),
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}
