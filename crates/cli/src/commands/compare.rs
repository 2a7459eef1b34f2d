//! `looped compare`: finished runs side by side.

use std::path::Path;

use looped_study::comparison::refuse_unless_free;
use looped_study::{CompareOptions, Comparison, ReportContext};
use serde_json::{Value, json};

use crate::args::CompareArgs;
use crate::failure::Outcome;
use crate::output::{answer, shown};
use crate::shell::command_line;

pub(crate) fn compare(args: &CompareArgs) -> Outcome {
    refuse_unless_free(&args.out)?;
    let comparison = Comparison::with(&args.runs, &options(args))?;
    comparison.publish(&args.out, &context(args))?;
    print_comparison(&args.out, &comparison, args.output.json)
}

fn options(args: &CompareArgs) -> CompareOptions {
    CompareOptions {
        against: args.against.clone(),
        margin: args.margin,
        examples: args.examples.iter().map(|&count| count as usize).collect(),
        evaluation: args.eval.clone(),
    }
}

fn context(args: &CompareArgs) -> ReportContext {
    let runs: Vec<String> = args.runs.iter().map(|run| run.display().to_string()).collect();
    let again = |run: &String| match run.trim_start_matches(['/', '.']).trim_end_matches('/') {
        "" => "again/run".to_owned(),
        path => format!("again/{path}"),
    };
    let mut repeat: Vec<String> = runs
        .iter()
        .map(|run| command_line(&["looped", "run", &format!("{run}/config.toml"), "--out", &again(run)]))
        .collect();
    let mut last = vec!["looped".to_owned(), "compare".to_owned()];
    last.extend(runs.iter().map(again));
    last.extend(["--out", "again/comparison"].map(str::to_owned));
    repeat.push(command_line(&last));
    ReportContext { title: "Runs compared".to_owned(), notes: Vec::new(), repeat }
}

/// Prints where a comparison is, and its tables; or all of it.
pub(crate) fn print_comparison(folder: &Path, comparison: &Comparison, as_json: bool) -> Outcome {
    comparison.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
    let tables = comparison.tables();
    let report = folder.join("report.html");
    let written = std::fs::read(folder.join("comparison.json"));
    let numbers: Value = written.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let found = json!({ "report": shown(&report), "comparison": numbers });
    answer(as_json, &found, || format!("{}\n{}", report.display(), tables.trim_end()))
}
