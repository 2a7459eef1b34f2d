//! `looped run`: from an experiment file to a finished run directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use looped_config::{Experiment, Loaded};
use looped_core::Device as CoreDevice;
use looped_train::{Cost, Outcome as Ended, RunDir, Trainer, available_memory, device, train};

use crate::args::{ExperimentArgs, RunArgs};
use crate::failure::{Failure, Outcome};
use crate::progress::Progress;
use crate::stop::Stop;

pub(crate) fn run(args: &RunArgs) -> Outcome {
    let device = device(&args.device.device)?;
    let experiment = load(&args.experiment)?;
    refuse_what_does_not_fit(&experiment, &device)?;
    let trainer = new_trainer(experiment, &device)?;
    let folder = args.out.clone().unwrap_or_else(|| free_folder(&trainer.experiment().name));
    let run = create(&folder, trainer.experiment())?;
    train_to_the_end(trainer, &run)
}

/// Loads and validates, and tells what was translated.
pub(crate) fn load(args: &ExperimentArgs) -> Outcome<Arc<Experiment>> {
    let Loaded { experiment, notes } =
        looped_config::load(&args.experiment, &args.overrides).map_err(Failure::usage)?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(Arc::new(experiment))
}

/// Makes the run directory with its resolved config.
pub(crate) fn create(folder: &Path, experiment: &Experiment) -> Outcome<RunDir> {
    let config = experiment.to_toml().map_err(Failure::failed)?;
    Ok(RunDir::create(folder, &config)?)
}

/// A trainer at step 0, from `pretrained_path` if the experiment names one.
pub(crate) fn new_trainer(experiment: Arc<Experiment>, device: &Device) -> Outcome<Trainer> {
    let pretrained = experiment.model.pretrained_path.clone();
    let trainer = Trainer::new(experiment, device)?;
    if let Some(path) = pretrained {
        load_weights(&trainer, &path)?;
    }
    Ok(trainer)
}

/// Replaces a trainer's parameters by those of a file, which must have the model's names and shapes.
pub(crate) fn load_weights(trainer: &Trainer, path: &Path) -> Outcome {
    let weights = looped_weights::read(path).map_err(Failure::usage)?;
    let tensors = weights.into_iter().map(|(name, array)| {
        let tensor = candle_core::Tensor::from_vec(array.data, array.shape, &CoreDevice::Cpu)
            .map_err(Failure::failed)?;
        Ok((name, tensor))
    });
    let tensors = tensors.collect::<Outcome<_>>()?;
    trainer.model().load(&tensors).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Trains, shows progress, and evaluates at the end.
pub(crate) fn train_to_the_end(mut trainer: Trainer, run: &RunDir) -> Outcome {
    let stop = Stop::listen()?;
    let total = trainer.experiment().training.train_steps;
    let mut progress = Progress::new(run, trainer.steps_done(), total, stop)?;
    let ended = train(&mut trainer, run, &mut progress);
    drop(progress);
    match ended {
        Ok(Ended::Finished) => finish(&trainer, run),
        Ok(Ended::Stopped) => {
            let path = run.path().display();
            eprintln!(
                "stopped after {} steps and saved; go on with `looped resume {path}`",
                trainer.steps_done()
            );
            Err(Failure::Interrupted)
        }
        Err(error) => Err(Failure::failed(format!("{error}\nThe run directory is {}", run.path().display()))),
    }
}

/// Evaluates a finished training, and prints its directory and the table.
pub(crate) fn finish(trainer: &Trainer, run: &RunDir) -> Outcome {
    let evaluation = looped_study::finish(trainer, run)?;
    println!("{}", run.path().display());
    println!("{}", evaluation.table());
    Ok(())
}

/// Stops a run that would be killed for its memory later, when hours are lost.
fn refuse_what_does_not_fit(experiment: &Experiment, device: &Device) -> Outcome {
    let cost = Cost::of(experiment)?;
    // What a GPU has is not known before it's asked for; it refuses by itself.
    let known = if device.is_cpu() { available_memory() } else { None };
    let available = known.map_or(f64::INFINITY, |bytes| bytes as f64);
    if cost.memory > available {
        return Err(Failure::usage(format!(
            "this experiment needs about {:.1} GB of memory, and the machine has {:.1} GB free; \
             lower training.batch_size, training.n_loop_window or model.n_embd",
            cost.memory / 1e9,
            available / 1e9
        )));
    }
    Ok(())
}

/// `runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3`, ... that isn't there yet.
fn free_folder(name: &str) -> PathBuf {
    let folder = |suffix: String| Path::new("runs").join(format!("{name}{suffix}"));
    let mut candidates = std::iter::once(folder(String::new())).chain((2..).map(|n| folder(format!("-{n}"))));
    candidates.find(|path| !path.exists()).unwrap_or_else(|| folder(String::new()))
}
