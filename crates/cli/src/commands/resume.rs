//! `looped resume`: on from the newest good checkpoint.

use std::path::Path;

use looped_config::load_run;
use looped_study::{Reopened, Tracker, reopen, tell_damaged};
use looped_train::{Chosen, How, Opened, Ranks, Trainer, device_of_run};

use crate::args::ResumeArgs;
use crate::build::build;
use crate::commands::run::{finish_or_stop, open_device, tell_engine, train_to_the_end};
use crate::failure::Outcome;
use crate::output::{answer, shown};
use crate::ranks::refuse_unless_together;
use crate::stop::Stop;

pub(crate) fn resume(args: &ResumeArgs, ranks: Option<Ranks>) -> Outcome {
    let Chosen { target: device, words } = device_of_run(&args.device.device, &args.run.path)?;
    if let Ok(loaded) = load_run(args.run.path.join("config.toml"), &args.overrides) {
        refuse_unless_together(&loaded.experiment, &device, ranks.as_ref())?;
    }
    let reopened = reopen(&args.run.path, &args.overrides, &device, build(), &mut tell)?;
    let Reopened { run, mut trainer, is_finished } = reopened;
    if is_finished {
        eprintln!("all {} steps of this run are done, and evaluated", trainer.steps_done());
        let evaluation: Option<serde_json::Value> =
            std::fs::read(run.evaluation()).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let said = Tracker::catch_up(run.path()).end(How::Finished, trainer.steps_done(), None);
        said.iter().for_each(|line| eprintln!("{line}"));
        let found = serde_json::json!({ "run": shown(run.path()), "evaluation": evaluation });
        return answer(args.output.json, &found, || run.path().display().to_string());
    }
    tell_engine(&trainer, &words);
    if trainer.is_done() {
        let tracker = Tracker::follow(run.path());
        return finish_or_stop(&trainer, &run, tracker, args.output.json);
    }
    if let Some(ranks) = ranks {
        trainer.lead(ranks)?;
    }
    train_to_the_end(trainer, &run, Stop::listen()?, args.output.json)
}

/// The model of a run at its newest good checkpoint, only to be looked at.
///
/// # Errors
/// Also if there is no checkpoint yet: an untrained model's numbers would pass for the run's.
pub(crate) fn open_trained(path: &Path, device_name: &str) -> Outcome<Trainer> {
    let opened = Opened::newest(path, &open_device(device_name)?)?;
    tell_damaged(&opened.damaged, &opened.from, &opened.trainer, &mut tell);
    Ok(opened.trainer)
}

fn tell(line: String) {
    eprintln!("{line}");
}
