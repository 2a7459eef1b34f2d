//! Which engine computes a model, and why not the fast one.

use std::fmt;

use looped_config::{EngineName, Experiment};
use looped_core::{NamedEngine, Target};

use crate::{Result, TrainError};

/// The engine that computes a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineChoice {
    /// The engine.
    pub engine: NamedEngine,
    /// Why it isn't the device's fast one; nothing where it is.
    pub why: Option<String>,
}

impl EngineChoice {
    /// The engine of an experiment on a device; nothing of the model's size is allocated.
    ///
    /// # Errors
    /// If the experiment asks for an engine or a precision, and can't have it.
    pub fn of(experiment: &Experiment, target: impl Into<Target>) -> Result<Self> {
        let target = target.into();
        let choice = match &experiment.training.engine {
            EngineName::Auto => Self::fastest(experiment, &target)?,
            EngineName::Named(name) => Self::named(experiment, name, &target)?,
        };
        choice.refuse_another_precision(experiment, &target)?;
        Ok(choice)
    }

    /// The engine that is called `name`, or stands for that, on a device.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn called(name: &str, target: &Target) -> Result<NamedEngine> {
        NamedEngine::meant_by(name).into_iter().find(|engine| engine.runs_on(target)).ok_or_else(|| {
            let mut there = NamedEngine::all();
            there.retain(|engine| engine.runs_on(target) && engine.missing(target).is_none());
            let there = there.iter().map(NamedEngine::key).collect::<Vec<_>>().join(", ");
            let unknown = NamedEngine::meant_by(name).is_empty();
            let what = if unknown { "is unknown" } else { "doesn't run there" };
            refused(format!(
                "training.engine = \"{name}\" on {}: {what}; allowed: auto, {there}",
                target.name()
            ))
        })
    }

    fn named(experiment: &Experiment, name: &str, target: &Target) -> Result<Self> {
        let engine = Self::called(name, target)?;
        let asked = format!("training.engine is \"{name}\"");
        if let Some(why) = experiment.refused_by(engine) {
            let called = engine.name;
            return Err(refused(format!(
                "training.engine = \"{name}\" needs the {called} engine, which can't take this model: {why}"
            )));
        }
        refuse_missing(engine, target, &asked)?;
        Ok(Self { engine, why: (engine.key() != EngineName::FUSED).then_some(asked) })
    }

    fn fastest(experiment: &Experiment, target: &Target) -> Result<Self> {
        let fast = NamedEngine::meant_by(EngineName::FUSED).into_iter().find(|engine| engine.runs_on(target));
        let why = match fast {
            Some(engine) => match experiment.refused_by(engine) {
                None => return Ok(Self { engine, why: None }),
                Some(why) => why,
            },
            None => "the fused engine runs on the CPU and on CUDA devices only".to_owned(),
        };
        let engine = Self::called(EngineName::CANDLE, target)?;
        refuse_missing(engine, target, &why)?;
        Ok(Self { engine, why: Some(why) })
    }

    fn refuse_another_precision(&self, experiment: &Experiment, target: &Target) -> Result<()> {
        let (precision, allowed) = (experiment.training.precision, self.engine.precisions(target));
        if allowed.contains(&precision) {
            return Ok(());
        }
        let of = |target: &Target| {
            let mut there = NamedEngine::all();
            there.retain(|engine| engine.runs_on(target) && engine.precisions(target).contains(&precision));
            there.first().copied()
        };
        let needs = match of(target) {
            Some(engine) => {
                let why = experiment.refused_by(engine).or_else(|| self.why.clone()).unwrap_or_default();
                format!("needs the {} engine, which can't take this model: {why}", engine.name)
            }
            None => "needs a CUDA device (--device cuda:0)".to_owned(),
        };
        let (name, on) = (self.engine.name, target.name());
        let allowed = allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Err(refused(format!(
            "training.precision = \"{precision}\" {needs}; in the {name} engine on {on} allowed: {allowed}"
        )))
    }
}

fn refused(message: String) -> TrainError {
    TrainError::Refused(message)
}

/// Refuses an engine that this program doesn't have on a device, and that is taken for some reason.
fn refuse_missing(engine: NamedEngine, target: &Target, why: &str) -> Result<()> {
    match engine.missing(target) {
        None => Ok(()),
        Some(missing) => Err(refused(format!(
            "this program can't compute this model on {}: {why}, and for the {} engine {missing}; use --device cpu",
            target.name(),
            engine.name
        ))),
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(f, "{} ({why})", self.engine.name),
            None => f.write_str(self.engine.name),
        }
    }
}
