//! What computes a model: engines, and models on them.

mod footprint;
mod holder;
mod runner;

use std::fmt::{self, Debug};
use std::ops::Deref;
use std::sync::Arc;

use candle_core::Device;
use looped_graph::Graph;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Kind, ModelDims, Part, Result, StepLoops, Target};

pub use footprint::{Footprint, Work};
pub use holder::{AdamUpdate, Holder, Updated};
pub use runner::{Runner, sum_of_passes};

/// The numbers that matrix products work on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with f32's range, summed in f32; the fused engine only.
    Bf16,
    /// 19 bits with f32's range, as a GPU's tensor cores take f32, summed in f32; on a CUDA device only.
    Tf32,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
        })
    }
}

/// What an engine has to know to compute a model, beside its graph.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The model's sizes.
    pub dims: ModelDims,
    /// Where it computes.
    pub target: &'a Target,
    /// On the CPU, with so many threads.
    pub threads: usize,
    /// The precision of its matrix products, one of its own.
    pub precision: Precision,
}

/// What computes models: `training.engine` has its name. It makes a [`Runner`] of a recorded model.
///
/// An engine has no keys in TOML; what there is to be set is a [`Setting`], for all of them. It is held to the reference engine: see
/// `looped-testing`.
///
/// ```
/// use std::sync::Arc;
///
/// use looped_core::graph::Graph;
/// use looped_core::{Engine, Precision, Result, Runner, Setting, StepLoops, Target, schemars};
///
/// /// Computes nothing, and says so.
/// #[derive(Debug, schemars::JsonSchema)]
/// struct Idle;
///
/// impl Engine for Idle {
///     fn runs_on(&self, target: &Target) -> bool {
///         target.is_cpu()
///     }
///     fn precisions(&self, _: &Target) -> &'static [Precision] {
///         &[Precision::F32]
///     }
///     fn refusal(&self, _: &Graph, _: &StepLoops) -> Option<String> {
///         Some("it computes nothing".to_owned())
///     }
///     fn build(&self, _: &Arc<Graph>, _: Setting<'_>) -> Result<Box<dyn Runner>> {
///         Err(looped_core::Error::Data("it computes nothing".to_owned()))
///     }
/// }
/// looped_core::register!(Engine, "idle", Idle);
///
/// # fn main() {
/// assert!(looped_core::NamedEngine::find("idle").is_some());
/// # }
/// ```
pub trait Engine: Debug + Send + Sync {
    /// Whether it is made for such a device.
    fn runs_on(&self, target: &Target) -> bool;

    /// What this program lacks to compute there; nothing, unless it says so.
    fn missing(&self, target: &Target) -> Option<String> {
        let _ = target;
        None
    }

    /// The name in `training.engine` that means it too, where the engine of that name doesn't run and this one does.
    fn stands_for(&self) -> Option<&'static str> {
        None
    }

    /// The precisions of its matrix products there.
    fn precisions(&self, target: &Target) -> &'static [Precision];

    /// What keeps it from training a model by steps like these, with the operation and its place in the code; `None` if nothing does. Nothing of
    /// the model's size is allocated.
    fn refusal(&self, graph: &Graph, loops: &StepLoops) -> Option<String>;

    /// Operations of the graph that it leaves to candle's, in words.
    fn without_kernel(&self, graph: &Graph) -> Vec<String> {
        let _ = graph;
        Vec::new()
    }

    /// What it takes at most for this work on the CPU, besides the parameters and prompts that it is given; `None` if it can't tell. Nothing of
    /// that size is allocated.
    fn footprint(&self, graph: &Graph, work: Work) -> Option<Footprint> {
        let _ = (graph, work);
        None
    }

    /// Where it wants the parameters to live.
    ///
    /// # Errors
    /// If there is no such device.
    fn parameters_on(&self, target: &Target) -> Result<Device> {
        let _ = target;
        Ok(Device::Cpu)
    }

    /// A recorded model on this engine.
    ///
    /// # Errors
    /// If it can't take the graph, or the device can't be used: what is missing is said.
    fn build(&self, graph: &Arc<Graph>, setting: Setting<'_>) -> Result<Box<dyn Runner>>;
}

/// An engine with the name that it was registered by.
#[derive(Clone, Copy, Debug)]
pub struct NamedEngine {
    /// Its name.
    pub name: &'static str,
    /// What is called so.
    pub engine: &'static dyn Engine,
}

inventory::collect!(NamedEngine);

impl NamedEngine {
    /// Every engine linked into the program, by name.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = inventory::iter::<Self>().copied().collect();
        all.sort_by_key(|engine| engine.name);
        all
    }

    /// The engine called `name`.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|engine| engine.name == name)
    }

    /// Those that `training.engine = "NAME"` may mean: the one that is called so, and those that stand for it.
    #[must_use]
    pub fn meant_by(name: &str) -> Vec<Self> {
        let mut meant = Self::all();
        meant.retain(|engine| engine.name == name || engine.stands_for() == Some(name));
        meant.sort_by_key(|engine| engine.name != name);
        meant
    }

    /// The name in `training.engine` by which a run goes on on another device too.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.stands_for().unwrap_or(self.name)
    }
}

impl Deref for NamedEngine {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        self.engine
    }
}

impl PartialEq for NamedEngine {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for NamedEngine {}

/// Where a schema has the name of an engine: `auto`, or one that is registered; for `#[schemars(schema_with = "...")]`.
#[must_use]
pub fn engine_schema(_: &mut SchemaGenerator) -> Schema {
    let auto = "`fused` where it runs and can take the model, else `candle`.";
    let mut names = vec![json_schema!({ "const": "auto", "type": "string", "description": auto })];
    let engines = Part::of(Kind::Engine).into_iter();
    names.extend(
        engines.map(|part| json_schema!({ "const": part.tag, "type": "string", "description": part.help() })),
    );
    json_schema!({ "oneOf": names })
}
