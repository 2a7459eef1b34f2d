//! `looped baselines`: each baseline's prediction of every y.

use looped_eval::{baseline_predictions, default_baselines};

use crate::args::BaselinesArgs;
use crate::data::{read_prompts, write_tensors};
use crate::failure::Outcome;

pub(crate) fn baselines(args: &BaselinesArgs) -> Outcome {
    let prompts = read_prompts(&args.data)?;
    let predictions = baseline_predictions(&prompts, &default_baselines())?;
    let shape = [prompts.prompts, prompts.points].to_vec();
    write_tensors(
        &args.out,
        predictions.into_iter().map(|(name, values)| (name, shape.clone(), values)).collect(),
    )?;
    println!("{}", args.out.display());
    Ok(())
}
