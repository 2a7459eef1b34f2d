//! What an experiment may ask of its training, and what it hears where it asks for something else.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::tiny;

/// The messages of [`tiny`] with these overrides, less the place.
fn refused(overrides: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exp.json");
    fs::write(&path, tiny().to_string()).unwrap();
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    looped_config::load(&path, &overrides).map_or_else(|error| error.to_string(), |_| "fine".to_owned())
}

#[test]
fn bad_values_are_told_with_what_is_allowed() {
    for (overrides, part) in [
        (
            &["training.optimizer.type=adam_w"][..],
            "training.optimizer.type: is \"adam_w\", no known optimizer; did you mean adamw? Allowed: adam, adamw, muon",
        ),
        (
            &["training.optimizer.beta=0.9"],
            "training.optimizer.type: is missing; it names an optimizer: adam, adamw, muon",
        ),
        (
            &["training.optimizer={type=\"adam\", weight_decay=0.1}"],
            "training.optimizer.weight_decay: is unknown; did you mean training.weight_decay?",
        ),
        (
            &["training.optimizer.type=adamw", "training.weight_decay=0.1"],
            "training.weight_decay: is 0.1, which `adamw` doesn't add to the gradient; allowed: 0, and \
             training.optimizer.weight_decay",
        ),
        (
            &["training.optimizer={type=\"adam\", betas=[0.9, 1.0]}"],
            "training.optimizer.betas.1: is 1; allowed: at least 0, below 1",
        ),
        (&["training.optimizer={type=\"adamw\", eps=0.0}"], "training.optimizer.eps: is 0; allowed: above 0"),
        (
            &["training.optimizer={type=\"adamw\", weight_decay=-1.0}"],
            "weight_decay: is -1; allowed: 0 to 1000",
        ),
        (
            &["training.optimizer={type=\"muon\", momentum=1.0}"],
            "training.optimizer.momentum: is 1; allowed: at least 0, below 1",
        ),
        (
            &["training.optimizer={type=\"muon\", steps=0}"],
            "training.optimizer.steps: is 0; allowed: 1 to 20",
        ),
        (
            &["training.optimizer={type=\"muon\", scale=\"adam\"}"],
            "training.optimizer.scale: is \"adam\"; did you mean adamw? Allowed: adamw, shape",
        ),
        (
            &["training.schedule.type=cosin"],
            "no known schedule; did you mean cosine? Allowed: constant, cosine, linear, wsd",
        ),
        (
            &["training.schedule={type=\"cosine\", warmup=13}"],
            "training.schedule.warmup: is 13; allowed: 0 to training.train_steps, 12",
        ),
        (
            &["training.schedule={type=\"wsd\", warmup=4}"],
            "training.schedule.decay: is missing; expected an integer, 0 to 1000000000000",
        ),
        (
            &["training.schedule={type=\"linear\", final=2.0}"],
            "training.schedule.final: is 2; allowed: 0 to 1",
        ),
        (&["training.lr_scheduler=1"], "training.lr_scheduler: is unknown; did you mean schedule?"),
        (&["training.ema=1.0"], "training.ema: is 1; allowed: above 0, below 1"),
        (&["training.ema_decay=0.9"], "training.ema_decay: is unknown; did you mean ema?"),
        (&["training.skip_non_finite=-1"], "training.skip_non_finite: is -1; allowed: 0 to 1000000"),
    ] {
        let message = refused(overrides);
        assert!(message.contains(part), "{overrides:?}: {message}\nlacks: {part}");
    }
}

#[test]
fn each_form_is_read_and_written_again() {
    for text in [
        "training.optimizer.type=muon",
        "training.optimizer={type=\"adamw\", weight_decay=0.1, betas=[0.9, 0.95]}",
        "training.schedule={type=\"wsd\", warmup=2, decay=4, final=0.1}",
        "training.ema=0.999",
        "training.skip_non_finite=3",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exp.json");
        fs::write(&path, tiny().to_string()).unwrap();
        let once = looped_config::load(&path, &[text.to_owned()]).unwrap().experiment.to_toml().unwrap();
        fs::write(folder.path().join("again.toml"), &once).unwrap();
        let again = looped_config::load(folder.path().join("again.toml"), &[]).unwrap().experiment;
        assert_eq!(again.to_toml().unwrap(), once);
        let key = text.split(['=', '.']).nth(1).unwrap();
        assert!(once.contains(key), "{once}");
    }
}
