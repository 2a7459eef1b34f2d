//! The score of each prompt: what it holds, and what it is refused for.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{Constant, LINEAR};
use looped_eval::{EvalPlan, Evaluation, PromptScores, default_baselines, score_prompts};
use safetensors::SafeTensors;

fn plan() -> EvalPlan {
    EvalPlan { prompts: 200, resamples: 50, ..EvalPlan::new(9, 3, 5, 4, 7) }
}

fn scored(plan: &EvalPlan) -> (Evaluation, PromptScores) {
    score_prompts(&Constant(0.5), &LINEAR, plan, &default_baselines(), &()).unwrap()
}

#[test]
fn the_means_of_eval_json_are_those_of_the_prompts() {
    let (evaluation, scores) = scored(&plan());
    assert_eq!(scores.prompts.len(), 200);
    for (name, curve) in evaluation.curves.iter() {
        assert_eq!(scores.get(name).unwrap().mean(), curve.mean, "{name}");
    }
    assert_eq!(scores.per_loop.mean(), evaluation.per_loop.mean);
}

#[test]
fn the_file_has_the_tensors_that_its_page_names_and_is_read_back() {
    let (evaluation, scores) = scored(&plan());
    let bytes = scores.encode().unwrap();
    assert_eq!(bytes, scored(&plan()).1.encode().unwrap(), "the same scores, the same bytes");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    assert_eq!(
        names,
        ["curves.averaging", "curves.knn_3", "curves.least_squares", "curves.model", "per_loop", "prompts"]
    );
    assert_eq!(file.tensor("curves.model").unwrap().shape(), [200, 9]);
    assert_eq!(file.tensor("per_loop").unwrap().shape(), [200, 4]);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "1");

    let back = PromptScores::decode(&bytes, &evaluation).unwrap();
    assert_eq!(back.prompts, scores.prompts);
    let pairs =
        back.get("model").unwrap().rows().flatten().zip(scores.get("model").unwrap().rows().flatten());
    assert!(pairs.into_iter().all(|(&back, &was)| back == f64::from(was as f32)));
}

#[test]
fn a_prompt_has_one_fingerprint_wherever_it_is_scored() {
    let all = scored(&plan()).1.prompts;
    let some = scored(&EvalPlan { prompts: 100, chunk: 7, ..plan() }).1.prompts;
    assert_eq!(all[..64], some[..64], "the same seed draws the same prompts, lot by lot");
    // x is wider, and no more of it is in use.
    assert_eq!(scored(&EvalPlan { n_dims: 8, ..plan() }).1.prompts, all);
    for other in [EvalPlan { seed: 8, ..plan() }, EvalPlan { points: 8, ..plan() }] {
        assert!(scored(&other).1.prompts.iter().all(|prompt| !all.contains(prompt)), "{other:?}");
    }
    let mut unique = all.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), all.len());
}

#[test]
fn a_diverged_model_s_scores_are_read_back_too() {
    for value in [f32::NAN, 1e30] {
        let (evaluation, scores) = score_prompts(&Constant(value), &LINEAR, &plan(), &[], &()).unwrap();
        let back = PromptScores::decode(&scores.encode().unwrap(), &evaluation).unwrap();
        assert!(back.get("model").unwrap().mean().iter().all(|mean| !mean.is_finite()));
    }
}

#[test]
fn a_file_that_does_not_belong_to_the_evaluation_is_refused() {
    let (evaluation, scores) = scored(&plan());
    let bytes = scores.encode().unwrap();
    let refused = |bytes: &[u8], evaluation: &Evaluation, part: &str| {
        let error = PromptScores::decode(bytes, evaluation).unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    refused(&bytes[..100], &evaluation, "is no safetensors file");
    let (fewer, _) = scored(&EvalPlan { prompts: 150, ..plan() });
    refused(&bytes, &fewer, "eval.json beside it asks for U64 [150]");
    let (another, _) = score_prompts(&Constant(0.7), &LINEAR, &plan(), &default_baselines(), &()).unwrap();
    refused(&bytes, &another, "they are not of one evaluation");
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    let foreign = safetensors::serialize([("x", view)], None).unwrap();
    refused(&foreign, &evaluation, "has format none; this version of looped reads format 1");
}

#[test]
fn an_evaluation_from_before_formats_is_read_and_one_of_the_future_is_not() {
    let (evaluation, _) = scored(&plan());
    assert_eq!(evaluation.format, Evaluation::FORMAT);
    let mut json = serde_json::to_value(&evaluation).unwrap();
    json.as_object_mut().unwrap().remove("format");
    assert_eq!(serde_json::from_value::<Evaluation>(json.clone()).unwrap().format, 0);
    json["format"] = (Evaluation::FORMAT + 1).into();
    let error = serde_json::from_value::<Evaluation>(json).unwrap_err().to_string();
    assert!(error.contains("it has format 2, and this version of looped reads formats up to 1"), "{error}");
}
