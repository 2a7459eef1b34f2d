//! `looped baselines`: each baseline's prediction of every y.

use looped_eval::baselines::Tree;
use looped_eval::{baseline_predictions, linear_baselines};
use serde_json::json;

use crate::args::BaselinesArgs;
use crate::chosen_baselines::chosen;
use crate::data::{read_prompts, refuse_output, write_tensors};
use crate::failure::Outcome;
use crate::output::{answer, shown};

pub(crate) fn baselines(args: &BaselinesArgs) -> Outcome {
    refuse_output(&args.out, &args.prompts.data)?;
    let prompts = read_prompts(&args.prompts.data)?;
    // Those that take seconds for a thousand prompts; boosting and the network would take minutes.
    let mut usual = linear_baselines();
    usual.push(Box::new(Tree::default()));
    let baselines = chosen(&args.baselines, usual)?;
    let predictions = baseline_predictions(&prompts, &baselines)?;
    let names: Vec<String> = predictions.iter().map(|(name, _)| name.clone()).collect();
    let shape = [prompts.prompts, prompts.points].to_vec();
    write_tensors(
        &args.out,
        predictions.into_iter().map(|(name, values)| (name, shape.clone(), values)).collect(),
    )?;
    answer(args.output.json, &json!({ "predictions": shown(&args.out), "baselines": names }), || {
        args.out.display().to_string()
    })
}
