//! `looped eval`: a run's scores on fresh prompts.

use looped_eval::EvalPlan;

use crate::args::EvalArgs;
use crate::commands::resume::open_trained;
use crate::failure::{Failure, Outcome};
use crate::finish::{plan_of, score};

pub(crate) fn eval(args: &EvalArgs) -> Outcome {
    let trainer = open_trained(&args.run, &args.device.device)?;
    let default = plan_of(&trainer);
    let plan = EvalPlan {
        loops: args.loops.map_or(default.loops, |n| n as usize),
        prompts: args.prompts.map_or(default.prompts, |n| n as usize),
        seed: args.seed.unwrap_or(default.seed),
        ..default
    };
    let evaluation = score(&trainer, &plan)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&evaluation).map_err(Failure::failed)?);
    } else {
        println!("{}", evaluation.table());
    }
    Ok(())
}
