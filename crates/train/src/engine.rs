//! Which engine computes a model, and why not the fast one.

use std::fmt;

use candle_core::Device;
use looped_config::{Engine, Experiment, Precision};
use looped_core::ModelConfig;

use crate::{Result, TrainError};

/// The engine that computes a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineChoice {
    /// `fused`, `graph`, `candle`, or `reference`: candle's operations on the recorded model.
    pub engine: &'static str,
    /// Why it isn't the fused one; nothing where it is.
    pub why: Option<String>,
}

impl EngineChoice {
    /// Where both engines can compute a model, this one: `docs/experiment-file.md` has how much faster it is.
    pub(crate) const FUSED: Self = Self { engine: "fused", why: None };

    /// candle's operations: of a part that has no candle form, on the recorded model.
    pub(crate) fn by_candle(model: &ModelConfig, why: impl Into<String>) -> Self {
        let engine = if model.without_candle_form().is_some() { "reference" } else { "candle" };
        Self { engine, why: Some(why.into()) }
    }

    fn graph(why: impl Into<String>) -> Self {
        Self { engine: "graph", why: Some(why.into()) }
    }

    fn reference(why: impl Into<String>) -> Self {
        Self { engine: "reference", why: Some(why.into()) }
    }

    /// The engine of an experiment on a device; nothing is built.
    ///
    /// # Errors
    /// If the experiment asks for the fused engine or its precision, and can't have it.
    pub fn of(experiment: &Experiment, device: &Device) -> Result<Self> {
        let training = &experiment.training;
        let obstacle = if device.is_cpu() {
            experiment.model.without_fused_form().map(|part| format!("{part} has no fused form"))
        } else {
            Some("the fused engine runs on the CPU only".to_owned())
        };
        // A fast engine without hand-written forms.
        let not_on_graph = if device.is_cpu() {
            experiment.model.not_on_graph()
        } else {
            Some("the graph engine runs on the CPU only".to_owned())
        };
        let refused = |setting: &str, why: &str| {
            Err(TrainError::Refused(format!(
                "{setting} needs the fused engine, which can't take this model: {why}"
            )))
        };
        match (training.engine, training.precision, obstacle) {
            (Engine::Fused, _, Some(why)) => refused("training.engine = \"fused\"", &why),
            (Engine::Graph, _, _) if not_on_graph.is_some() => Err(TrainError::Refused(format!(
                "training.engine = \"graph\" can't take this model: {}",
                not_on_graph.unwrap_or_default()
            ))),
            (Engine::Auto, Precision::Bf16, Some(why)) if not_on_graph.is_some() => {
                refused("training.precision = \"bf16\"", &why)
            }
            (Engine::Candle | Engine::Reference, Precision::Bf16, _) => {
                refused("training.precision = \"bf16\"", "training.engine asks for candle")
            }
            (_, Precision::Tf32, _) if !device.is_cuda() => Err(TrainError::Refused(
                "training.precision = \"tf32\" needs a CUDA device (--device cuda:0); on the CPU allowed: f32, and bf16 in \
                 the fused engine"
                    .to_owned(),
            )),
            (Engine::Reference, ..) => match experiment.model.without_recorded_form() {
                None => Ok(Self::reference("training.engine is \"reference\"")),
                Some(part) => Err(TrainError::Refused(format!(
                    "training.engine = \"reference\" can't take this model: {part} has no recorded form"
                ))),
            },
            (Engine::Graph, ..) => Ok(Self::graph("training.engine is \"graph\"")),
            (Engine::Auto, _, Some(why)) if not_on_graph.is_none() => Ok(Self::graph(why)),
            (Engine::Candle, ..) => Ok(Self::by_candle(&experiment.model, "training.engine is \"candle\"")),
            (Engine::Auto, _, Some(why)) => Ok(Self::by_candle(&experiment.model, why)),
            (Engine::Auto | Engine::Fused, _, None) => Ok(Self::FUSED),
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match &self.why {
            Some(why) => why,
            None => "every part of the model has a fused form",
        };
        write!(f, "{} ({why})", self.engine)
    }
}
