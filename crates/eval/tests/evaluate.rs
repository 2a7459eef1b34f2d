//! Evaluations: what they hold, that they repeat, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use common::{ByLoops, Constant, Failing, LINEAR, SIGN};
use looped_core::{Predictions, Predictor, Prompts, Result, Watch};
use looped_eval::{EvalPlan, Evaluation, default_baselines, evaluate};

fn plan() -> EvalPlan {
    EvalPlan { prompts: 200, resamples: 50, ..EvalPlan::new(9, 3, 5, 4, 7) }
}

#[test]
fn eval_json_holds_what_the_interface_names() {
    let evaluation = evaluate(&Constant(0.0), &LINEAR, &plan(), &default_baselines(), &()).unwrap();
    let text = serde_json::to_string(&evaluation).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["task"], "linear_for_tests");
    assert_eq!((&json["prompts"], &json["seed"], &json["loops"]), (&200.into(), &7.into(), &4.into()));
    assert_eq!(json["normaliser"], 3.0);
    let names: Vec<&String> = json["curves"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "least_squares", "averaging", "knn_3"]);
    for part in ["mean", "low", "high"] {
        assert_eq!(json["curves"]["model"][part].as_array().unwrap().len(), 9);
        assert_eq!(json["per_loop"][part].as_array().unwrap().len(), 4);
    }
    assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation);
}

#[test]
fn predicting_0_has_error_1_and_so_has_every_baseline_without_examples() {
    let evaluation = evaluate(&Constant(0.0), &LINEAR, &plan(), &default_baselines(), &()).unwrap();
    let model = evaluation.curves.get("model").unwrap();
    // E y^2 / d = 1; its standard deviation over 200 prompts is 0.13 at each point.
    for k in 0..9 {
        assert!((model.mean[k] - 1.0).abs() < 0.6, "{k}: {}", model.mean[k]);
        assert!(model.low[k] < model.mean[k] && model.mean[k] < model.high[k]);
    }
    assert!(evaluation.curves.iter().all(|(_, curve)| curve.mean[0] == model.mean[0]));
    assert!(evaluation.per_loop.mean.iter().all(|&mean| mean == model.mean[8]));
}

#[test]
fn the_curve_is_after_the_last_loop_and_per_loop_at_the_last_query() {
    let evaluation = evaluate(&Constant(40.0), &LINEAR, &plan(), &[], &()).unwrap();
    assert_eq!(evaluation.per_loop.mean[3], evaluation.curves.get("model").unwrap().mean[8]);
    assert!(evaluation.per_loop.mean.is_sorted_by(|a, b| a > b));
    assert!(evaluation.per_loop.mean[0] > 400.0);
}

#[test]
fn neither_threads_nor_chunks_change_a_bit() {
    let run = |threads: usize, chunk: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let plan = EvalPlan { chunk, ..plan() };
        pool.install(|| evaluate(&Constant(0.5), &LINEAR, &plan, &default_baselines(), &()).unwrap())
    };
    let one = run(1, 64);
    for (threads, chunk) in [(2, 64), (2, 7), (2, 100), (1, usize::MAX)] {
        assert_eq!(run(threads, chunk), one, "{threads} threads, chunks of {chunk}");
    }
}

#[test]
fn classification_reports_accuracy() {
    let evaluation = evaluate(&Constant(1.0), &SIGN, &plan(), &default_baselines(), &()).unwrap();
    assert_eq!((evaluation.score.as_str(), evaluation.normaliser), ("accuracy", 1.0));
    let last = |name| evaluation.curves.get(name).unwrap().mean[8];
    assert!((last("model") - 0.5).abs() < 0.15, "{}", last("model"));
    assert!(last("least_squares") > 0.7 && last("averaging") > 0.7);
    assert!(evaluation.table().starts_with("accuracy, mean of 200 prompts"));
}

#[test]
fn a_diverged_model_is_reported_as_null() {
    let evaluation = evaluate(&Constant(f32::NAN), &LINEAR, &plan(), &default_baselines(), &()).unwrap();
    let json = serde_json::to_value(&evaluation).unwrap();
    assert!(json["curves"]["model"]["mean"][3].is_null() && json["per_loop"]["high"][0].is_null());
    assert!(json["curves"]["least_squares"]["mean"][3].is_number());
    let table = evaluation.table();
    assert!(table.lines().any(|line| line.trim_start().starts_with("3  –")), "{table}");
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let fails = |plan: EvalPlan, part: &str| {
        let error = evaluate(&Constant(0.0), &LINEAR, &plan, &[], &()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    fails(EvalPlan { prompts: 0, ..plan() }, "prompts is 0");
    fails(EvalPlan { loops: 0, ..plan() }, "loops is 0");
    fails(EvalPlan { dims: 6, ..plan() }, "dims is 6, must be at most n_dims, 5");
    let twice = default_baselines().into_iter().chain(default_baselines()).collect::<Vec<_>>();
    let error = evaluate(&Constant(0.0), &LINEAR, &plan(), &twice, &()).unwrap_err().to_string();
    assert!(error.contains("two curves are called least_squares"), "{error}");

    struct Short;
    impl Predictor for Short {
        fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
            Ok(Predictions { values: vec![], width: 1, loops, prompts: prompts.prompts, points: 1 })
        }
    }
    let error = evaluate(&Short, &LINEAR, &plan(), &[], &()).unwrap_err().to_string();
    assert!(error.contains("asked for (4, 64, 9)"), "{error}");
}

#[test]
fn a_baseline_that_fails_costs_its_own_curve_alone() {
    let with = |baseline: Failing| {
        let mut baselines = default_baselines();
        baselines.insert(1, Box::new(baseline));
        looped_eval::score_prompts(&Constant(0.5), &LINEAR, &plan(), &baselines, &()).unwrap()
    };
    let (found, scores) = with(Failing { at: 9 });
    let (mut expected, _) = with(Failing { at: 0 });
    expected.curves.0.retain(|(name, _)| name != "failing");
    assert_eq!(found.curves, expected.curves);
    assert_eq!(found.per_loop, expected.per_loop);
    let why = &found.failed_baselines["failing"];
    assert!(why.starts_with("no fit for y = "), "{why}");
    assert_eq!(with(Failing { at: 9 }).0, found, "the reason is that of the first such prompt");
    let told = format!("the baseline failing failed and has no curve: {why}");
    assert!(found.failures().eq([told.clone()]));
    assert!(found.table().contains(&told), "{}", found.table());

    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), found);
    let read = looped_eval::PromptScores::decode(&scores.encode().unwrap(), &found).unwrap();
    assert_eq!(read.curves.len(), found.curves.0.len());
    assert!(!serde_json::to_string(&expected).unwrap().contains("failed"), "old files stay as they are");
}

/// It predicts what the model does, and so is scored as the model is, on every scale.
#[test]
fn a_baseline_with_a_step_in_each_loop_is_scored_after_each_of_them() {
    let with = |task: &dyn looped_core::Task, missing| {
        let baselines: [Box<dyn looped_core::Baseline>; 1] = [Box::new(ByLoops { value: 0.5, missing })];
        looped_eval::score_prompts(&Constant(0.5), task, &plan(), &baselines, &()).unwrap()
    };
    for task in [&LINEAR, &SIGN] {
        let (found, scores) = with(task, 0);
        assert_eq!(found.baselines_per_loop.get("by_loops"), Some(&found.per_loop));
        assert_eq!(found.curves.get("by_loops"), found.curves.get("model"));
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), found);
        let read = looped_eval::PromptScores::decode(&scores.encode().unwrap(), &found).unwrap();
        assert_eq!(read.baselines_per_loop, [("by_loops".to_owned(), read.per_loop.clone())]);
        let mut short = serde_json::to_value(&found).unwrap();
        short["baselines_per_loop"]["by_loops"]["mean"].as_array_mut().unwrap().pop();
        let message = serde_json::from_value::<Evaluation>(short).unwrap_err().to_string();
        assert!(message.starts_with("by_loops has ") && message.contains("expected 4 of each"), "{message}");
    }
    let (failed, scores) = with(&LINEAR, 1);
    assert_eq!(failed.failed_baselines["by_loops"], "3 rows of predictions for 4 loops");
    assert!(failed.baselines_per_loop.is_empty() && scores.baselines_per_loop.is_empty());
}

/// Counts how often it is told and asked, and stops when asked for the `stop`-th time.
#[derive(Default)]
struct Counting {
    told: Mutex<Vec<(usize, usize)>>,
    asked: AtomicUsize,
    stop: usize,
}

impl Watch for Counting {
    fn advanced(&self, done: usize, total: usize) {
        self.told.lock().unwrap().push((done, total));
    }

    fn stopped(&self) -> bool {
        self.asked.fetch_add(1, Relaxed) + 1 == self.stop
    }
}

#[test]
fn a_watch_hears_of_all_prompts_and_can_stop_anywhere() {
    let plan = EvalPlan { prompts: 150, ..plan() };
    let run = |watch: &Counting| evaluate(&Constant(0.0), &LINEAR, &plan, &default_baselines(), watch);
    let watch = Counting::default();
    run(&watch).unwrap();
    assert_eq!(*watch.told.lock().unwrap(), [(64, 150), (128, 150), (150, 150)]);
    let asked = watch.asked.load(Relaxed);
    assert!(asked > 3 * 150, "a fit of a baseline can take seconds: {asked}");
    for stop in [1, 2, asked / 2, asked] {
        let error = run(&Counting { stop, ..Counting::default() }).unwrap_err();
        assert!(matches!(error, looped_core::Error::Stopped), "{error}");
    }
}
