//! Which engine computes a model, and why not the fast one.

use std::fmt;

use looped_config::{Engine, Experiment, Precision};
use looped_core::Rng;
use looped_cuda::CudaModel;

use crate::model::not_passes;
use crate::{Result, Target, TrainError};

/// The engine that computes a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineChoice {
    /// `fused`, `cuda`, or `candle`.
    pub engine: &'static str,
    /// Why it isn't the device's fast one; nothing where it is.
    pub why: Option<String>,
}

impl EngineChoice {
    /// Where both engines can compute a model, this one: `docs/experiment-file.md` has how much faster it is.
    pub(crate) const FUSED: Self = Self { engine: "fused", why: None };

    /// What `training.engine = "fused"` means on a GPU.
    pub(crate) const CUDA: Self = Self { engine: "cuda", why: None };

    pub(crate) fn candle(why: impl Into<String>) -> Self {
        Self { engine: "candle", why: Some(why.into()) }
    }

    /// The engine of an experiment on a device; nothing of the model's size is allocated.
    ///
    /// # Errors
    /// If the experiment asks for the fused engine or its precision, and can't have it.
    pub fn of(experiment: &Experiment, target: impl Into<Target>) -> Result<Self> {
        let (training, target) = (&experiment.training, target.into());
        let (fast, obstacle) = match &target {
            Target::Cuda(_) => (Self::CUDA, not_on_cuda(experiment)),
            Target::Tensors(device) if device.is_cpu() => (Self::FUSED, experiment.model.not_fused()),
            Target::Tensors(_) => (Self::FUSED, Some("the fused engine runs on the CPU only".to_owned())),
        };
        let refused = |setting: &str, why: &str| {
            Err(TrainError::Refused(format!(
                "{setting} needs the {} engine, which can't take this model: {why}",
                fast.engine
            )))
        };
        let by_candle = |why: String| match target {
            Target::Cuda(_) if !candle_core::utils::cuda_is_available() => Err(TrainError::Refused(format!(
                "this program can't compute this model on {}: {why}; use --device cpu",
                target.name()
            ))),
            _ => Ok(Self::candle(why)),
        };
        match (training.engine, training.precision, obstacle) {
            (Engine::Fused, _, Some(why)) => refused("training.engine = \"fused\"", &why),
            (Engine::Auto, Precision::Bf16, Some(why)) => refused("training.precision = \"bf16\"", &why),
            (Engine::Candle, Precision::Bf16, _) => {
                refused("training.precision = \"bf16\"", "training.engine asks for candle")
            }
            (_, Precision::Tf32, _) if !target.is_cuda() => Err(TrainError::Refused(
                "training.precision = \"tf32\" needs a CUDA device (--device cuda:0); on the CPU allowed: f32, and bf16 in \
                 the fused engine"
                    .to_owned(),
            )),
            (Engine::Candle, ..) => by_candle("training.engine is \"candle\"".to_owned()),
            (Engine::Auto, _, Some(why)) => by_candle(why),
            (Engine::Auto | Engine::Fused, _, None) => Ok(fast),
        }
    }
}

/// What keeps an experiment's model from the CUDA engine.
fn not_on_cuda(experiment: &Experiment) -> Option<String> {
    let refusals = match experiment.model.graph() {
        Ok(graph) => CudaModel::refusals(&graph),
        Err(error) => vec![error.to_string()],
    };
    let training = &experiment.training;
    let loops = training.step_loops(training.most_loops(), Rng::stream(0, "loops", 0));
    if loops.passes().is_none() {
        return Some(format!("it can't {}", not_passes(&loops)));
    }
    (!refusals.is_empty()).then(|| refusals.join("; "))
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(f, "{} ({why})", self.engine),
            None => f.write_str(self.engine),
        }
    }
}
