//! `looped stability`: what becomes of a run's state.

use looped_eval::EvalPlan;
use looped_lab::{Found, StabilityPlan, memory_of_stability};
use looped_train::{opened_and_predicting, refuse_what_does_not_fit};

use crate::args::LabArgs;
use crate::commands::eval::asked;
use crate::commands::lab::{end, open, plan, refused};
use crate::failure::Outcome;
use crate::progress::Meter;

/// So many times the trained loops are looked at if nothing else is said.
const FAR: usize = 10;

/// Prompts that states are looked at on: a distance over all tokens varies little between prompts.
const STATES: usize = 64;

/// Prompts that derivatives are taken on: each takes as long as all states.
const DERIVATIVES: usize = 8;

pub(crate) fn stability(args: &LabArgs) -> Outcome {
    let trainer = open(args)?;
    let (model, experiment) = (trainer.model(), trainer.experiment());
    let trained = experiment.training.most_loops();
    let eval = plan(&trainer, args);
    let loops = args.loops.map_or(FAR * trained, |loops| loops as usize);
    let plan =
        StabilityPlan { eval: EvalPlan { loops, ..eval }, trained, states: STATES, derivatives: DERIVATIVES };
    let tokens = experiment.model.layout().tokens(plan.eval.points);
    let device = model.parameters().device();
    refuse_what_does_not_fit(
        "this needs",
        opened_and_predicting(experiment, asked(&plan.eval))?
            + memory_of_stability(&plan, tokens, experiment.model.n_embd),
        model.target(),
        "--prompts or --loops",
    )?;
    let exact = model.in_f64()?;
    let watch = Meter::new("looking", "loops")?;
    let found = looped_lab::stability(model, &exact, device, experiment.task.as_ref(), &plan, &watch)
        .map_err(refused)?;
    drop(watch);
    end(Found::Stability(Box::new(found)), args, &trainer)
}
