//! An engine of one's own, registered by its name: it trains, is told, and is refused like any other.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use common::{experiment, tiny, trainer};
use looped_config::EngineName;
use looped_core::graph::Graph;
use looped_core::{
    Engine, Found, NamedEngine, Objective, ParamStore, Part, Precision, Predictions, Predictor, Prompts,
    Result, Runner, Setting, StepLoops, Target, schemars,
};
use looped_reference::ReferenceModel;
use looped_train::{EngineChoice, resolve};
use serde_json::Value;

/// Steps that the engine has made.
static STEPS: AtomicUsize = AtomicUsize::new(0);

/// Counts its steps, which candle's operations make.
#[derive(Debug, schemars::JsonSchema)]
struct Counting;

looped_core::register!(Engine, "counting", Counting);

impl Engine for Counting {
    fn runs_on(&self, target: &Target) -> bool {
        target.is_cpu()
    }

    fn precisions(&self, _: &Target) -> &'static [Precision] {
        &[Precision::F32]
    }

    fn refusal(&self, graph: &Graph, _: &StepLoops) -> Option<String> {
        let carried = graph.carried().len();
        (carried != 1).then(|| format!("it carries {carried} values"))
    }

    fn build(&self, graph: &Arc<Graph>, _: Setting<'_>) -> Result<Box<dyn Runner>> {
        Ok(Box::new(Counted(ReferenceModel::new(Arc::clone(graph))?)))
    }
}

struct Counted(ReferenceModel);

impl Runner for Counted {
    fn step(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        objective: Objective,
        loops: &StepLoops,
    ) -> Result<Found> {
        STEPS.fetch_add(1, Ordering::Relaxed);
        self.0.run(store, prompts, objective, loops)
    }

    fn predict(&self, store: &ParamStore, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        self.0.predictor(store).predict(prompts, loops)
    }
}

fn with(engine: &str) -> Value {
    let mut table = tiny();
    table["training"]["engine"] = engine.into();
    table
}

#[test]
fn a_registered_engine_trains_under_its_name() {
    let (mut own, mut fused) = (trainer(with("counting")), trainer(with("fused")));
    assert_eq!(own.model().engine_choice().to_string(), "counting (training.engine is \"counting\")");
    let before = STEPS.load(Ordering::Relaxed);
    for _ in 0..3 {
        let (a, b) = (own.step().unwrap().loss, fused.step().unwrap().loss);
        assert!((a - b).abs() <= 1e-5 * b, "{a} {b}");
    }
    assert_eq!(STEPS.load(Ordering::Relaxed), before + 3);
    let part = Part::all().into_iter().find(|part| part.tag == "counting").unwrap();
    assert_eq!(part.help(), "Counts its steps, which candle's operations make.");
}

#[test]
fn a_registered_engine_is_a_word_of_the_schema_and_stays_in_a_config_that_is_settled() {
    let schema = looped_config::json_schema();
    let words = schema["$defs"]["Training"]["properties"]["engine"]["oneOf"].as_array().unwrap();
    let words: Vec<&str> = words.iter().map(|word| word["const"].as_str().unwrap()).collect();
    assert_eq!(words, ["auto", "candle", "counting", "cuda", "fused"]);
    let mut own = Arc::into_inner(experiment(with("counting"))).unwrap();
    resolve(&mut own, &Device::Cpu).unwrap();
    assert_eq!(own.training.engine, EngineName::Named("counting".to_owned()));
    let mut open = Arc::into_inner(experiment(tiny())).unwrap();
    resolve(&mut open, &Device::Cpu).unwrap();
    assert_eq!(open.training.engine, EngineName::Named("fused".to_owned()));
}

#[test]
fn an_engine_is_refused_where_it_does_not_run_beside_those_that_do() {
    let on = |engine, target| EngineChoice::of(&experiment(with(engine)), target).unwrap_err().to_string();
    assert_eq!(
        on("counting", Target::Cuda(0)),
        "training.engine = \"counting\" on cuda:0: doesn't run there; allowed: auto, fused"
    );
    assert_eq!(
        on("cuda", Target::Tensors(Device::Cpu)),
        "training.engine = \"cuda\" on cpu: doesn't run there; allowed: auto, candle, counting, fused"
    );
}

#[test]
fn fused_means_the_engine_that_stands_for_it_on_another_device() {
    let on = |target| EngineChoice::of(&experiment(with("fused")), target).unwrap();
    assert_eq!(on(Target::Cuda(0)), EngineChoice { engine: NamedEngine::find("cuda").unwrap(), why: None });
    assert_eq!(on(Target::Tensors(Device::Cpu)).engine.name, "fused");
}

/// Else such a run could be trained and never resumed.
#[test]
fn a_config_that_is_settled_for_a_gpu_can_be_read_again() {
    let mut table = tiny();
    table["training"]["precision"] = "tf32".into();
    let mut settled = Arc::into_inner(experiment(table)).unwrap();
    resolve(&mut settled, Target::Cuda(0)).unwrap();
    let again = looped_config::Experiment::from_toml(&settled.to_toml().unwrap()).unwrap();
    assert_eq!(again.training.engine, EngineName::Named("fused".to_owned()));
    assert_eq!(EngineChoice::of(&again, Target::Cuda(0)).unwrap().engine.name, "cuda");
}
