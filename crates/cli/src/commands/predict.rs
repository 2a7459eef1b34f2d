//! `looped predict`: the prediction of every y after each loop.

use looped_core::Noise;
use looped_train::{Asked, memory_of_predicting, refuse_what_does_not_fit};
use serde_json::json;

use crate::args::PredictArgs;
use crate::commands::resume::open_trained;
use crate::data::{fit, read_prompts, refuse_output, write_tensors};
use crate::failure::Outcome;
use crate::output::{answer, shown};

pub(crate) fn predict(args: &PredictArgs) -> Outcome {
    refuse_output(&args.out, &args.prompts.data)?;
    let trainer = open_trained(&args.run.path, &args.device.device)?;
    let prompts = read_prompts(&args.prompts.data)?;
    fit(&prompts, &trainer.experiment().model, &args.prompts.data)?;
    let experiment = trainer.experiment();
    let prompts = prompts.with_noise(Noise::new(experiment.evaluation.seed, "prediction first state", 0));
    let usual = experiment.evaluation.loops.unwrap_or(experiment.training.usual_loops());
    let loops = args.model.loops.map_or(usual, |n| n as usize);
    let (count, points) = (prompts.prompts, prompts.points);
    let asked = Asked { prompts: count, points, loops };
    refuse_what_does_not_fit(
        "the predictions need",
        memory_of_predicting(trainer.experiment(), asked)?,
        trainer.model().target(),
        "--loops, or split the prompts",
    )?;
    let predictions = trainer.model().predict_all(&prompts, loops)?;
    write_tensors(&args.out, vec![("preds".to_owned(), vec![loops, count, points], predictions.values)])?;
    answer(
        args.output.json,
        &json!({ "predictions": shown(&args.out), "loops": loops, "prompts": count, "points": points }),
        || args.out.display().to_string(),
    )
}
