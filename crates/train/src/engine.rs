//! Which engine computes a model, and why not the fast one.

use std::fmt;

use candle_core::Device;
use looped_config::{Engine, Experiment, Precision};

use crate::{Result, TrainError};

/// The engine that computes a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineChoice {
    /// `fused`, or `candle`.
    pub engine: &'static str,
    /// Why it isn't the fused one; nothing where it is.
    pub why: Option<String>,
}

impl EngineChoice {
    /// Where both engines can compute a model, this one: `docs/experiment-file.md` has how much faster it is.
    pub(crate) const FUSED: Self = Self { engine: "fused", why: None };

    pub(crate) fn candle(why: impl Into<String>) -> Self {
        Self { engine: "candle", why: Some(why.into()) }
    }

    /// The engine of an experiment on a device; nothing of the model's size is allocated.
    ///
    /// # Errors
    /// If the experiment asks for the fused engine or its precision, and can't have it.
    pub fn of(experiment: &Experiment, device: &Device) -> Result<Self> {
        let training = &experiment.training;
        let obstacle = if device.is_cpu() {
            experiment.model.not_fused()
        } else {
            Some("the fused engine runs on the CPU only".to_owned())
        };
        let refused = |setting: &str, why: &str| {
            Err(TrainError::Refused(format!(
                "{setting} needs the fused engine, which can't take this model: {why}"
            )))
        };
        match (training.engine, training.precision, obstacle) {
            (Engine::Fused, _, Some(why)) => refused("training.engine = \"fused\"", &why),
            (Engine::Auto, Precision::Bf16, Some(why)) => refused("training.precision = \"bf16\"", &why),
            (Engine::Candle, Precision::Bf16, _) => {
                refused("training.precision = \"bf16\"", "training.engine asks for candle")
            }
            (_, Precision::Tf32, _) if !device.is_cuda() => Err(TrainError::Refused(
                "training.precision = \"tf32\" needs a CUDA device (--device cuda:0); on the CPU allowed: f32, and bf16 in \
                 the fused engine"
                    .to_owned(),
            )),
            (Engine::Candle, ..) => Ok(Self::candle("training.engine is \"candle\"")),
            (Engine::Auto, _, Some(why)) => Ok(Self::candle(why)),
            (Engine::Auto | Engine::Fused, _, None) => Ok(Self::FUSED),
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(f, "{} ({why})", self.engine),
            None => f.write_str(self.engine),
        }
    }
}
