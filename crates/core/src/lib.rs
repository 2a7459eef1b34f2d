//! The vocabulary of looped models: [`Block`], [`Injector`], [`Task`], [`Baseline`], and the loop itself.
//!
//! A looped model applies a small stack of blocks again and again to its own state and the embedded input, and so
//! learns, in context, to solve regression problems as an iterative solver would (Yang et al., *Looped Transformers
//! are Better at Learning Learning Algorithms*, arXiv 2311.12424).
//!
//! Config is data: a [`BlockConfig`] or [`Injector`] is read from a table with a `type` key, and [`ModelConfig::graph`]
//! records the model that they build, for any engine to run. A crate adds a part by implementing a trait and calling [`register!`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod baseline;
mod block;
mod config;
mod depth;
mod device;
mod dims;
mod engine;
mod error;
mod flat;
mod injector;
mod loop_loss;
mod model;
mod noise;
mod objective;
mod optimizer;
mod params;
pub mod parts;
mod predictor;
mod problems;
mod regularizer;
mod rng;
mod schedule;
mod target;
mod task;
mod unroll;
mod watch;

pub use baseline::{Baseline, ByLoop, Prompt};
pub use block::BlockConfig;
pub use candle_core::{Device, Tensor, Var};
pub use config::{Embed, ExitGate, FirstState, Head, LoopNorm, ModelConfig, Positions};
pub use depth::{Depth, MOST_LOOPS, PoissonLognormal, RampDepth, SetDepth, UniformDepth};
pub use device::cuda_device;
pub use dims::ModelDims;
pub use engine::{
    AdamUpdate, Engine, Footprint, Holder, NamedEngine, Precision, Runner, Setting, Updated, Work,
    engine_schema, sum_of_passes,
};
pub use error::{Error, Result};
pub use flat::{Flat, Layout, Place};
pub use injector::{Concat, FirstN, Full, Injector, LastN, LearnedGate, NoInjection, Operation, Pattern};
pub use loop_loss::{
    Counting, ExitWeighted, Joint, LastLoss, LoopLoss, Prior, Progressive, Share, UniformLoss, sum_of_joint,
};
pub use looped_graph::{self as graph, Block, Init, Inject, Params};
pub use noise::Noise;
pub use objective::Objective;
pub use optimizer::{Kept, Optimizer, Parameter, Role, Update, roles};
pub use params::ParamStore;
pub use parts::{Kind, Part};
pub use predictor::{LoopPlan, Looping, Loops, Predictions, Predictor, Stateful};
pub use problems::{Problem, Problems, Subject, nearest};
pub use regularizer::{FixedPoint, Jacobian, Regularizer};
pub use rng::Rng;
pub use schedule::{Constant, Cosine, Linear as LinearSchedule, Schedule, Wsd};
pub use target::Target;
pub use task::{Alphabet, Prompts, Request, Split, Task, TokenLayout, score_scale};
pub use unroll::{
    Body, Found, Implicit, LastLoops, Pass, Phantom, Policy, RandomPrefix, Solver, StepLoops, StepWork,
    Unroll,
};
pub use watch::{Stretch, Watch};

// What `register!` and the traits' derives need of other crates, so that a plugin has one version of each.
pub use {inventory, schemars, typetag};
