//! `looped match`: which solver a run follows.

use looped_lab::{Found, MatchPlan, match_solvers, memory_of_matching};
use looped_train::{opened_and_predicting, refuse_what_does_not_fit};

use crate::args::MatchArgs;
use crate::commands::eval::asked;
use crate::commands::lab::{end, open, plan, refused};
use crate::failure::Outcome;
use crate::progress::Meter;

pub(crate) fn matching(args: &MatchArgs) -> Outcome {
    let trainer = open(&args.lab)?;
    let plan = MatchPlan { eval: plan(&trainer, &args.lab), steps: args.steps as usize };
    let (model, experiment) = (trainer.model(), trainer.experiment());
    refuse_what_does_not_fit(
        "matching needs",
        opened_and_predicting(experiment, asked(&plan.eval))? + memory_of_matching(&plan),
        model.target(),
        "--prompts, --loops or --steps",
    )?;
    let watch = Meter::new("matching", "pieces")?;
    let found = match_solvers(model, experiment.task.as_ref(), &plan, Vec::new(), &watch).map_err(refused)?;
    drop(watch);
    end(Found::Match(Box::new(found)), &args.lab, &trainer)
}
