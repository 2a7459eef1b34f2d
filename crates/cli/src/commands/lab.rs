//! What the laboratory's commands share: a run opened, a plan, results printed and kept.

use looped_eval::EvalPlan;
use looped_lab::{Found, Kept};
use looped_study::{plan_of, run_report};
use looped_train::{RunDir, Trainer};

use crate::args::LabArgs;
use crate::commands::eval::{changed, print};
use crate::commands::resume::open_trained;
use crate::data::refuse_moved_data;
use crate::failure::{Failure, Outcome};

/// Most prompts that are looked at if nothing else is said.
const PROMPTS: usize = 256;

/// The run at its newest good checkpoint.
pub(super) fn open(args: &LabArgs) -> Outcome<Trainer> {
    let trainer = open_trained(&args.run.path, &args.device.device)?;
    refuse_moved_data(&args.run.path, trainer.experiment())?;
    Ok(trainer)
}

/// What is looked at: the experiment's evaluation, fewer prompts of it, and what the command line says otherwise.
pub(super) fn plan(trainer: &Trainer, args: &LabArgs) -> EvalPlan {
    let plan = plan_of(trainer.experiment());
    let plan = EvalPlan { prompts: plan.prompts.min(PROMPTS), ..plan };
    changed(plan, args.loops, args.prompts, args.seed)
}

/// What the numbers on the command line, or the experiment's, don't allow.
pub(super) fn refused(error: looped_core::Error) -> Failure {
    match error {
        looped_core::Error::Data(_) => Failure::usage(error),
        error => error.into(),
    }
}

/// Keeps the results if they are to be kept, and prints them.
pub(super) fn end(found: Found, args: &LabArgs, trainer: &Trainer) -> Outcome {
    let kept = Kept { trained_steps: trainer.steps_done(), found };
    if let Some(name) = &args.save {
        let run = RunDir::open(&args.run.path)?;
        run_report::save_found(&kept, &run, if name.is_empty() { kept.found.kind() } else { name })?;
        // A run that isn't done has no report yet; the one it ends with will hold this.
        if run.evaluation().exists() {
            run_report::write(trainer.experiment(), &run)?;
        }
    }
    print(&kept, args.json, || run_report::lab_tables(&kept.found))
}
