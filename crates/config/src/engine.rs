//! Whether an experiment's engine can take its model, and has the precision that is asked for.

use looped_core::{Device, NamedEngine, Precision, Problems, Rng, Target};

use crate::{EngineName, Experiment};

/// The devices that engines differ on, and what is said of the second: a config doesn't know its own.
const PLACES: [(Target, &str); 2] =
    [(Target::Tensors(Device::Cpu), ""), (Target::Cuda(0), " on a CUDA device")];

impl Experiment {
    /// What keeps an engine from the experiment's model; `None` if nothing does.
    #[must_use]
    pub fn refused_by(&self, engine: NamedEngine) -> Option<String> {
        let training = &self.training;
        let loops = training.step_loops(training.most_loops(), Rng::stream(0, "loops", 0));
        match self.model.graph() {
            Ok(graph) => engine.refusal(&graph, &loops),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Reports an engine that can't take the model or hasn't the precision, wherever it runs.
    pub(crate) fn validate_engine(&self, problems: &mut Problems) {
        problems.within("training", |problems| match &self.training.engine {
            EngineName::Named(name) => self.validate_named_engine(name, problems),
            EngineName::Auto => self.validate_precision(problems),
        });
    }

    fn validate_named_engine(&self, name: &str, problems: &mut Problems) {
        let meant = NamedEngine::meant_by(name);
        // The schema of a program that links no engine allows none, and has said so.
        if meant.is_empty() {
            return;
        }
        if !precisions_of(&meant).contains(&self.training.precision) {
            let allowed = format!("with engine = \"{name}\" allowed: {}", in_words(&meant));
            problems.report("precision", format!("is {}; {allowed}", self.precision_in_words("")));
        } else if let Some(why) = self.refused_by_all(&meant) {
            let able = NamedEngine::all().into_iter().filter(|other| other.key() != name);
            let able = able.filter(|other| self.refused_by(*other).is_none()).map(|other| other.name);
            let allowed = ["auto"].into_iter().chain(able).collect::<Vec<_>>().join(", ");
            problems.report(
                "engine",
                format!("is \"{name}\", which can't take this model: {why}; allowed: {allowed}"),
            );
        }
    }

    /// Reports a precision that only engines have which can't take the model; candle's takes every model.
    fn validate_precision(&self, problems: &mut Problems) {
        let with = |name| {
            let mut engines = NamedEngine::meant_by(name);
            engines.retain(|engine| precisions_of(&[*engine]).contains(&self.training.precision));
            engines
        };
        let (fused, candle) = (with(EngineName::FUSED), with(EngineName::CANDLE));
        if fused.is_empty() || !candle.is_empty() {
            return;
        }
        if let Some(why) = self.refused_by_all(&fused) {
            let asked = self.precision_in_words(&format!(", and it can't take this model: {why}"));
            let allowed = in_words(&NamedEngine::meant_by(EngineName::CANDLE));
            problems.report("precision", format!("is {asked}; allowed: {allowed}"));
        }
    }

    /// Why none of some engines can take the model, in the first one's words; `None` if one can.
    fn refused_by_all(&self, engines: &[NamedEngine]) -> Option<String> {
        let each: Option<Vec<String>> = engines.iter().map(|engine| self.refused_by(*engine)).collect();
        each?.into_iter().next()
    }

    /// The precision that is asked for, with the engine that has it, of which more is said.
    fn precision_in_words(&self, more: &str) -> String {
        let precision = self.training.precision;
        let who =
            NamedEngine::all().into_iter().find(|engine| precisions_of(&[*engine]).contains(&precision));
        let who =
            who.map_or_else(String::new, |who| format!(", which only the {} engine has{more}", who.key()));
        format!("\"{precision}\"{who}")
    }
}

/// The precisions that some engines have anywhere.
fn precisions_of(engines: &[NamedEngine]) -> Vec<Precision> {
    PLACES.iter().flat_map(|(place, _)| precisions_on(engines, place)).collect()
}

fn precisions_on(engines: &[NamedEngine], place: &Target) -> Vec<Precision> {
    let there = engines.iter().filter(|engine| engine.runs_on(place));
    there.flat_map(|engine| engine.precisions(place)).copied().collect()
}

/// The precisions of some engines; of those that only a CUDA device has, that is said.
fn in_words(engines: &[NamedEngine]) -> String {
    let mut told: Vec<Precision> = Vec::new();
    let mut words = Vec::new();
    for (place, on) in &PLACES {
        for precision in precisions_on(engines, place) {
            if !told.contains(&precision) {
                told.push(precision);
                words.push(format!("{precision}{on}"));
            }
        }
    }
    words.join(", ")
}
