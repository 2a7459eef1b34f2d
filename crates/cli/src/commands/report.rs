//! `looped report`: a run's plots and pages, drawn again.

use looped_study::run_report;
use looped_train::RunDir;
use serde_json::json;

use crate::args::ReportArgs;
use crate::failure::Outcome;
use crate::output::{answer, shown};

pub(crate) fn report(args: &ReportArgs) -> Outcome {
    let run = RunDir::open(&args.run.path)?;
    let experiment = looped_config::load_run(run.config(), &[])?.experiment;
    run_report::write(&experiment, &run)?;
    let found = json!({ "run": shown(run.path()), "report": shown(&run.report()) });
    answer(args.json, &found, || run.report().display().to_string())
}
