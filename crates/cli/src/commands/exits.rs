//! `looped exits`: when a run could stop.

use looped_lab::{ExitPlan, Found, memory_of_exits};
use looped_train::{opened_and_predicting, refuse_what_does_not_fit};

use crate::args::ExitsArgs;
use crate::commands::eval::asked;
use crate::commands::lab::{end, open, plan, refused};
use crate::failure::Outcome;
use crate::progress::Meter;

pub(crate) fn exits(args: &ExitsArgs) -> Outcome {
    let trainer = open(&args.lab)?;
    let (model, experiment) = (trainer.model(), trainer.experiment());
    let trained = experiment.training.most_loops();
    let plan = ExitPlan { eval: plan(&trainer, &args.lab), trained, threshold: args.threshold };
    let tokens = experiment.model.layout().tokens(plan.eval.points);
    let device = model.parameters().device();
    refuse_what_does_not_fit(
        "this needs",
        opened_and_predicting(experiment, asked(&plan.eval))?
            + memory_of_exits(&plan, tokens, experiment.model.n_embd),
        model.target(),
        "--prompts or --loops",
    )?;
    let watch = Meter::new("trying exits", "prompts")?;
    let found = looped_lab::exits(model, device, experiment.task.as_ref(), &plan, &watch).map_err(refused)?;
    drop(watch);
    end(Found::Exits(Box::new(found)), &args.lab, &trainer)
}
