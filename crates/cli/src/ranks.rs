//! Several processes that train one model: which of them this is.

use looped_config::Experiment;
use looped_train::{Ranks, Target, TrainError, Trainer, follow};

use crate::failure::{Failure, Outcome};
#[cfg(feature = "mpi")]
use crate::stop::Stop;

/// Does what trains: as the only process, or as rank 0 of several. The others follow that one.
pub(crate) fn led(command: impl FnOnce(Option<Ranks>) -> Outcome) -> Outcome {
    match here()? {
        Some(ranks) if ranks.rank() > 0 => {
            let rank = ranks.rank();
            let told = |error| Failure::failed(format!("rank {rank}: {error}"));
            let Some(mut trainer) = Trainer::following(ranks).map_err(told)? else { return Ok(()) };
            match follow(&mut trainer) {
                // Rank 0 tells.
                Err(TrainError::NonFinite { .. }) => Ok(()),
                followed => followed.map_err(told),
            }
        }
        ranks => command(ranks),
    }
}

#[cfg(feature = "mpi")]
fn here() -> Outcome<Option<Ranks>> {
    let stop = Stop::listen()?;
    let processes = looped_mpi::Processes::here().map_err(Failure::failed)?;
    Ok(processes.map(|these| Ranks::new(Box::new(these), Box::new(move || stop.asked()))))
}

#[cfg(not(feature = "mpi"))]
fn here() -> Outcome<Option<Ranks>> {
    Ok(None)
}

/// Refuses a run that asks for another number of processes than there are, or for several on a GPU.
pub(crate) fn refuse_unless_together(
    experiment: &Experiment,
    device: &Target,
    ranks: Option<&Ranks>,
) -> Outcome {
    let (asked, there) = (experiment.training.ranks, ranks.map_or(1, Ranks::count));
    if asked == there && (asked == 1 || device.is_cpu()) {
        return Ok(());
    }
    if asked == there {
        let device = device.name();
        return Err(Failure::usage(format!(
            "training.ranks: is {asked}, on the device {device}; several ranks train with --device cpu"
        )));
    }
    let how = match (cfg!(feature = "mpi"), there) {
        (false, _) => "and this program was built without MPI; build it with `--features mpi`".to_owned(),
        (true, 1) => format!("and this is one process; start it by `mpirun -n {asked} looped ...`"),
        (true, _) => format!("and {there} processes were started; set training.ranks={there}"),
    };
    Err(Failure::usage(format!("training.ranks: is {asked}, {how}")))
}
