//! The bits of whole short trainings of usual experiments, on each instruction set: what is built in must not change their results.
//!
//! Where a change is meant to round otherwise, the test prints the new hashes.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::tiny;
use looped_config::Experiment;
use looped_core::graph::Graph;
use looped_core::{
    Device, Engine, Found, Objective, ParamStore, Precision, Predictions, Predictor, Prompts, Result, Runner,
    Setting, StepLoops, Target, schemars,
};
use looped_cpu::CpuModel;
use looped_ops::{Isa, Kernels};
use looped_train::{Checkpoint, Trainer};

/// For each experiment: the hash on AVX2 and on AVX-512 of all losses and of what the last step left.
const GOLDEN: [(&str, [u64; 2]); 2] = [
    ("tiny", [0x8149_9899_f6b1_62c3, 0xf634_2741_c6d3_f48c]),
    ("quickstart_adam", [0xeea9_cfa9_98c1_13e7, 0x7e85_c2e1_5e0b_5770]),
];

/// The engine `fused` on AVX2.
#[derive(Debug, schemars::JsonSchema)]
struct OnAvx2;

/// The engine `fused` on AVX-512.
#[derive(Debug, schemars::JsonSchema)]
struct OnAvx512;

looped_core::register!(Engine, "on_avx2", OnAvx2);
looped_core::register!(Engine, "on_avx512", OnAvx512);

/// A model whose kernels run on a given instruction set.
struct On(CpuModel);

impl On {
    fn build(isa: Isa, graph: &Arc<Graph>, setting: Setting<'_>) -> Result<Box<dyn Runner>> {
        let model = CpuModel::new(Arc::clone(graph), setting.dims, setting.threads)?;
        Ok(Box::new(Self(model.with_kernels(Kernels::for_isa(isa).unwrap()))))
    }
}

impl Runner for On {
    fn step(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        objective: Objective,
        loops: &StepLoops,
    ) -> Result<Found> {
        self.0.run(store, prompts, (objective, looped_cpu::Precision::F32), loops)
    }

    fn predict(&self, store: &ParamStore, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        self.0.predictor(store, looped_cpu::Precision::F32).predict(prompts, loops)
    }
}

macro_rules! engine {
    ($name:ident, $isa:expr) => {
        impl Engine for $name {
            fn runs_on(&self, target: &Target) -> bool {
                target.is_cpu()
            }

            fn precisions(&self, _: &Target) -> &'static [Precision] {
                &[Precision::F32]
            }

            fn refusal(&self, _: &Graph, _: &StepLoops) -> Option<String> {
                None
            }

            fn build(&self, graph: &Arc<Graph>, setting: Setting<'_>) -> Result<Box<dyn Runner>> {
                On::build($isa, graph, setting)
            }
        }
    };
}
engine!(OnAvx2, Isa::Avx2);
engine!(OnAvx512, Isa::Avx512);

/// The experiment by its defaults, but for its length and the number of threads, whose sums are in another order.
fn experiment(name: &str, engine: &str) -> Arc<Experiment> {
    if name == "tiny" {
        let mut table = tiny();
        table["training"]["engine"] = engine.into();
        table["training"]["threads"] = 2.into();
        return common::experiment(table);
    }
    // Coordinates and loops rise within the thirty steps.
    let shorter = [
        "training.train_steps=30",
        "training.threads=2",
        "training.curriculum.dims.interval=6",
        "training.curriculum.loops.interval=5",
        &format!("training.engine={engine}"),
    ]
    .map(str::to_owned);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../experiments/{name}.toml"));
    Arc::new(looped_config::load(path, &shorter).unwrap().experiment)
}

/// The FNV-1a hash of 64 bits of every loss, and of the parameters and moments at the end.
fn trained(name: &str, engine: &str) -> u64 {
    let experiment = experiment(name, engine);
    let steps = experiment.training.train_steps;
    let mut trainer = Trainer::new(experiment, &Device::Cpu).unwrap();
    let mut bytes = Vec::new();
    for _ in 0..steps {
        bytes.extend(trainer.step().unwrap().loss.to_bits().to_le_bytes());
    }
    let Checkpoint { model, optimizer, .. } = trainer.checkpoint().unwrap();
    for tensor in model.values().chain(optimizer.values()) {
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        bytes.extend(values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
    }
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn short_trainings_of_usual_experiments_keep_their_bits() {
    let available = Isa::available();
    let mut wrong = Vec::new();
    for (name, expected) in GOLDEN {
        let engines = [(Isa::Avx2, "on_avx2"), (Isa::Avx512, "on_avx512")];
        for ((isa, engine), expected) in engines.into_iter().zip(expected) {
            if available.contains(&isa) {
                let found = trained(name, engine);
                if found != expected {
                    wrong.push(format!("{name} on {isa:?}: {found:#018x}, not {expected:#018x}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an experiment gets without a name of an engine is what was hashed.
#[test]
fn the_usual_engine_is_that_of_the_fastest_of_these_instruction_sets() {
    let fastest = Isa::available().into_iter().rfind(|isa| [Isa::Avx2, Isa::Avx512].contains(isa));
    let engine = match fastest {
        Some(Isa::Avx512) => "on_avx512",
        Some(_) => "on_avx2",
        None => return,
    };
    assert_eq!(trained("tiny", "auto"), trained("tiny", engine));
}
