//! The report, in reading order.

use looped_report::plot::Figure;
use looped_report::report::{Part, Report, Section};

use crate::comparison::figures::{batch_loss, held_out_loss, over_examples, over_loops};
use crate::comparison::{Comparison, ReportContext, tables};

pub(crate) fn report(comparison: &Comparison, context: &ReportContext) -> Report {
    let sections = vec![
        results(comparison, context),
        loops(comparison),
        training(comparison),
        variants(comparison),
        repeat(comparison, context),
    ];
    Report { title: context.title.clone(), sections }
}

fn results(comparison: &Comparison, context: &ReportContext) -> Section {
    let evaluation = &comparison.first().evaluation;
    let task = evaluation.task.replace('_', " ");
    let prompts = evaluation.prompts;
    let mut section = Section::new("Error over in-context examples");
    section.parts.extend(context.notes.iter().cloned().map(Part::Paragraph));
    section.parts.push(plot(
        "error",
        over_examples(comparison),
        format!("{}, {prompts} fresh prompts a run. {}", capitalised(&task), shading(comparison)),
    ));
    section.parts.push(Part::Table(tables::errors(comparison)));
    section.parts.push(Part::Paragraph(format!(
        "{}: mean over the seeds and, in brackets, its 90 % interval by Student's t over the seeds, cut at 0; of a \
         single seed and of the baselines, the 5..95 % bootstrap interval over prompts.",
        capitalised(&evaluation.score_label())
    )));
    section
}

fn loops(comparison: &Comparison) -> Section {
    let mut section = Section::new("Error over loops");
    let caption = format!("At the last query, after each loop. {}", shading(comparison));
    section.parts.push(plot("loops", over_loops(comparison), caption));
    section
}

fn training(comparison: &Comparison) -> Section {
    let mut section = Section::new("Training");
    section.parts.push(Part::Paragraph(
        "Losses are those of the curriculum's stage, and rise where it gets harder; where curricula differ, they \
         cannot be compared."
            .to_owned(),
    ));
    let held_out = |name: &str, cost: &str, measure| {
        let figure = held_out_loss(comparison, cost, measure);
        let caption =
            format!("Loss on held-out prompts over {cost}: mean over the seeds, their span shaded.");
        plot(name, figure, caption)
    };
    section.parts.extend([
        held_out("held_out_steps", "training steps", |history| &history.steps),
        held_out("held_out_flops", "FLOPs of the training", |history| &history.flops),
        held_out("held_out_seconds", "seconds of training", |history| &history.seconds),
        plot(
            "training",
            batch_loss(comparison),
            "Loss of each logged batch, mean over the seeds.".to_owned(),
        ),
    ]);
    section
}

fn variants(comparison: &Comparison) -> Section {
    let mut section = Section::new("Variants");
    section.parts.push(Part::Table(tables::differences(comparison)));
    section.parts.push(Part::Table(tables::costs(comparison)));
    section.parts.push(Part::Paragraph(
        "Parameters without positions; the time is that of training alone, mean over the seeds.".to_owned(),
    ));
    let first = &comparison.variants[0];
    section.parts.push(Part::Paragraph(format!("The whole config of {}:", first.name)));
    section.parts.push(Part::Code(first.first().toml.clone()));
    section
}

fn repeat(comparison: &Comparison, context: &ReportContext) -> Section {
    let mut section = Section::new("Repeat");
    section.parts.push(Part::Code(context.repeat.join("\n")));
    let runs = comparison.variants.iter().flat_map(|variant| &variant.runs);
    let folders: Vec<String> = runs.map(|run| run.path.display().to_string()).collect();
    section.parts.push(Part::Paragraph("The runs compared:".to_owned()));
    section.parts.push(Part::Code(folders.join("\n")));
    section
}

/// What is shaded in a figure of errors.
fn shading(comparison: &Comparison) -> &'static str {
    let several = |variant: &super::Variant| variant.runs.len() > 1;
    if comparison.variants.iter().all(several) {
        "Mean over the seeds, shaded from the least to the greatest seed."
    } else if comparison.variants.iter().any(several) {
        "Mean over the seeds, shaded from the least to the greatest seed; of a single seed, the 5..95 % interval over \
         prompts."
    } else {
        "The 5..95 % interval over prompts is shaded."
    }
}

fn plot(name: &str, figure: Figure, caption: String) -> Part {
    Part::Plot { name: name.to_owned(), figure, caption }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
