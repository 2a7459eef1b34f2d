//! The report, in reading order.

use looped_report::plot::Drawing;
use looped_report::report::{Part, Report, Section};

use crate::comparison::align::Basis;
use crate::comparison::figures::{batch_loss, over_examples, over_loops, validation_loss};
use crate::comparison::varied::{over_key, over_two_keys};
use crate::comparison::{Comparison, ReportContext, tables};
use crate::figures::ENOUGH_SEEDS;

pub(crate) fn report(comparison: &Comparison, context: &ReportContext) -> Report {
    let mut sections = vec![results(comparison, context)];
    sections.extend(ratios(comparison));
    sections.push(loops(comparison));
    sections.extend(training(comparison));
    sections.extend([variants(comparison), repeat(comparison, context)]);
    Report { title: context.title.clone(), sections }
}

fn results(comparison: &Comparison, context: &ReportContext) -> Section {
    let evaluation = &comparison.first().scored.evaluation;
    let task = evaluation.task.replace('_', " ");
    let prompts = evaluation.prompts_in_words();
    let mut section = Section::new(format!("Error over {}", evaluation.counted_in()));
    section.parts.extend(context.notes.iter().cloned().map(Part::Paragraph));
    let warnings = comparison.warnings().into_iter();
    section.parts.extend(warnings.map(|warning| Part::Paragraph(format!("{}.", capitalised(&warning)))));
    let as_in_the_table = "Mean and 90 % CI, as in the table.";
    section
        .parts
        .extend(over_key(comparison).map(|figure| plot("varied", figure, as_in_the_table.to_owned())));
    section
        .parts
        .extend(over_two_keys(comparison).map(|map| plot("varied", map, as_in_the_table.to_owned())));
    section.parts.push(plot(
        "error",
        over_examples(comparison),
        format!("{}, {prompts} a run. {}", capitalised(&task), shading(comparison)),
    ));
    section.parts.push(Part::Table(tables::errors(comparison)));
    section.parts.push(Part::Paragraph(capitalised(&tables::errors_caption(comparison))));
    section
}

/// Each variant against one of them; nothing where there is only one.
fn ratios(comparison: &Comparison) -> Option<Section> {
    if comparison.variants.len() < 2 {
        return None;
    }
    let against = &comparison.variants[comparison.ratios.against].name;
    let mut section = Section::new(format!("Against {against}"));
    section.parts.push(Part::Table(tables::ratios(comparison)));
    section.parts.push(Part::Paragraph(tables::ratios_caption(comparison)));
    section.parts.extend(comparison.ratios.power(&comparison.first().scored.evaluation).map(Part::Paragraph));
    Some(section)
}

fn loops(comparison: &Comparison) -> Section {
    let mut section = Section::new("Error over loops");
    let caption = format!("At the last query, after each loop. {}", shading(comparison));
    section.parts.push(plot("loops", over_loops(comparison), caption));
    section
}

/// The losses of training; nothing where the runs' logs are not there.
fn training(comparison: &Comparison) -> Option<Section> {
    if comparison.variants.iter().all(|variant| variant.history.steps.is_empty()) {
        return None;
    }
    let mut section = Section::new("Training");
    let validated = comparison.variants.iter().any(|variant| !variant.history.validation.steps.is_empty());
    if validated {
        section.parts.push(Part::Paragraph(
            "The validation loss is that of the curriculum's last stage from the first step on, on the same prompts for \
             all runs, and divided by the task's normaliser."
                .to_owned(),
        ));
        let validation = |name: &str, cost: &str, measure| {
            let figure = validation_loss(comparison, cost, measure);
            let caption = format!("Validation loss over {cost}. {}", seeds_shown(comparison, "seeds"));
            plot(name, figure, caption)
        };
        section.parts.extend([
            validation("validation_steps", "training steps", |history| &history.steps),
            validation("validation_flops", "FLOPs of the training", |history| &history.flops),
            validation("validation_cpu", "CPU seconds of training", |history| &history.cpu_seconds),
        ]);
    }
    section.parts.push(plot(
        "training",
        batch_loss(comparison),
        "Training loss of each logged step, at the step's own stage, divided by its normaliser; mean over the seeds."
            .to_owned(),
    ));
    Some(section)
}

fn variants(comparison: &Comparison) -> Section {
    let mut section = Section::new("Variants");
    section.parts.push(Part::Table(tables::differences(comparison)));
    section.parts.push(Part::Table(tables::costs(comparison)));
    section.parts.push(Part::Paragraph(tables::costs_caption(comparison)));
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

/// What is drawn of the seeds in a figure of errors.
fn shading(comparison: &Comparison) -> String {
    let over = if comparison.basis == Basis::NoScores { "seeds" } else { "seeds and prompts" };
    let single = comparison.variants.iter().any(|variant| variant.runs.len() == 1);
    let mut text = seeds_shown(comparison, over);
    if single {
        text.push_str(" Of a single seed and of baselines: the 90 % CI over prompts is shaded.");
    }
    text.trim_start().to_owned()
}

/// How curves of several seeds are drawn.
fn seeds_shown(comparison: &Comparison, over: &str) -> String {
    let some = |counts: std::ops::Range<usize>| {
        comparison.variants.iter().any(|variant| counts.contains(&variant.runs.len()))
    };
    let mut text = String::new();
    if some(2..usize::MAX) {
        text.push_str("Mean over the seeds.");
    }
    if some(2..ENOUGH_SEEDS) {
        text.push_str(" Thin lines: the seeds, where they are too few for a shade.");
    }
    if some(ENOUGH_SEEDS..usize::MAX) {
        text.push_str(&format!(" Shaded: the mean's 90 % CI over {over}."));
    }
    text
}

fn plot(name: &str, figure: impl Into<Drawing>, caption: String) -> Part {
    Part::Plot { name: name.to_owned(), figure: figure.into(), caption }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
