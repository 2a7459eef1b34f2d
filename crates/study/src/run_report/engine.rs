//! Which engine computed a run, in words.

use looped_train::{Provenance, Session};

/// A sentence for each engine that has trained the run, in the order of the steps; nothing where no session is known.
pub(super) fn words(provenance: &Provenance, train_steps: usize) -> Option<String> {
    let mut sessions = provenance.trained(train_steps);
    // A resumed run's config names the engine that was chosen; why it was is told by the session that chose it.
    sessions.dedup_by(|next, before| (&next.engine, &next.device) == (&before.engine, &before.device));
    let engines: Vec<(usize, String)> =
        sessions.into_iter().map(|session| (session.steps_done, engine(session))).collect();
    match &engines[..] {
        [] => None,
        [(_, engine)] => Some(format!("Trained by {engine}.")),
        several => {
            let from = |(step, engine): &(usize, String)| format!("From step {step} on trained by {engine}.");
            Some(several.iter().map(from).collect::<Vec<_>>().join(" "))
        }
    }
}

fn engine(session: &Session) -> String {
    let Session { engine, device, .. } = session;
    match &session.why_not_fused {
        None => format!("the {engine} engine on {device}"),
        Some(why) => format!("the {engine} engine on {device}, not by the fused one: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(steps_done: usize, engine: &str, device: &str, why: Option<&str>) -> Session {
        Session {
            steps_done,
            engine: engine.to_owned(),
            device: device.to_owned(),
            why_not_fused: why.map(str::to_owned),
            ..Session::default()
        }
    }

    fn told(sessions: Vec<Session>) -> Option<String> {
        words(&Provenance { format: 1, config: serde_json::Value::Null, sessions }, 12)
    }

    #[test]
    fn a_run_of_one_engine_names_it_and_why_it_is_not_the_fast_one() {
        let fused = || session(0, "fused", "cpu", None);
        assert_eq!(told(vec![fused()]).unwrap(), "Trained by the fused engine on cpu.");
        let resumed = Session { steps_done: 5, ..fused() };
        assert_eq!(told(vec![fused(), resumed]).unwrap(), "Trained by the fused engine on cpu.");
        assert_eq!(
            told(vec![session(0, "candle", "cpu", Some("the loop carries 2 values, not one"))]).unwrap(),
            "Trained by the candle engine on cpu, not by the fused one: the loop carries 2 values, not one."
        );
        assert_eq!(told(vec![]), None);
    }

    #[test]
    fn an_engine_that_only_evaluated_or_took_no_step_is_not_named() {
        let gpu = |step| session(step, "candle", "cuda:0", Some("the fused engine runs on the CPU only"));
        let cpu = |step| session(step, "fused", "cpu", None);
        assert_eq!(told(vec![cpu(0), gpu(12)]).unwrap(), "Trained by the fused engine on cpu.");
        assert_eq!(told(vec![gpu(0), cpu(0)]).unwrap(), "Trained by the fused engine on cpu.");
        assert_eq!(
            told(vec![cpu(0), gpu(4), cpu(4), gpu(8)]).unwrap(),
            "From step 0 on trained by the fused engine on cpu. From step 8 on trained by the candle engine on cuda:0, \
             not by the fused one: the fused engine runs on the CPU only."
        );
    }
}
