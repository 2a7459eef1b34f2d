//! What probes read from the states, as a section of the report and as a table.

use looped_eval::{Curve as Numbers, MODEL};
use looped_probe::{HIDDEN, Probing, Readings, Target};
use looped_report::number::{short, with_interval};
use looped_report::plot::{Curve, Figure, Reference};
use looped_report::report::{Part, Section};
use looped_report::table::{Column, Table};

use crate::figures::{band, on_its_scale};
use crate::run_report::plot;

/// The readings of a target over the loops; a model of one loop has a table only.
pub(super) fn section(probing: &Probing) -> Section {
    let mut section = Section::new("What the loops hold");
    section.parts.push(Part::Paragraph(format!(
        "For each loop a net with one layer of {HIDDEN} reads a vector from the state, looking at the tokens where it has \
         learnt to look; trained on {} prompts, scored on {} others. \"Untrained\" reads the states of the same model before \
         its first step; \"shuffled\" is asked for another prompt's vector. The state holds a vector as far as the model's \
         curve lies below both.",
        probing.trained_on, probing.prompts
    )));
    if probing.loops > 1 {
        for (target, readings) in probing.readings() {
            let name = match target {
                Target::Xty => "probe_xty",
                Target::LeastSquares => "probe_least_squares",
            };
            let caption = format!(
                "Error of reading {} from the state after each loop; 90 % CI over {} prompts shaded.",
                target.label(),
                probing.prompts
            );
            section.parts.push(plot(name, over_loops(target, readings), caption));
        }
    }
    section.parts.push(Part::Code(table(probing)));
    section
}

fn over_loops(target: Target, readings: &Readings) -> Figure {
    let x = |curve: &Numbers| (1..=curve.mean.len()).map(|l| l as f64).collect();
    let control = |name: &str, curve: &Numbers| Curve::baseline(name, x(curve), band(curve));
    let curves = vec![
        Curve::model(MODEL, x(&readings.model), band(&readings.model)),
        control("untrained", &readings.untrained),
        control("shuffled", &readings.shuffled),
    ];
    let reference = Some(Reference { y: 1.0, label: "mean of the target".to_owned() });
    on_its_scale(Figure {
        curves,
        reference,
        ..Figure::new(target.label(), "loops", "squared error / variance")
    })
}

/// A row for each loop.
#[must_use]
pub fn table(probing: &Probing) -> String {
    let mut columns = vec![Column::right("loop")];
    for (target, _) in probing.readings() {
        columns.push(Column::left(target.label()));
        columns.push(Column::right("untrained"));
        columns.push(Column::right("shuffled"));
    }
    let mut table = Table::new(columns);
    for l in 0..probing.loops {
        let cells = probing.readings().map(|(_, Readings { model, untrained, shuffled })| {
            let model = with_interval(model.mean[l], model.low[l], model.high[l]);
            [model, short(untrained.mean[l]), short(shuffled.mean[l])]
        });
        table.push(std::iter::once((l + 1).to_string()).chain(cells.concat()));
    }
    format!(
        "squared error of reading / variance, mean of {} prompts, 90 % CI over prompts\n\n{}",
        probing.prompts,
        table.text()
    )
}
