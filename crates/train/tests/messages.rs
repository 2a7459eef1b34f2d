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
        (
            &["training.depth.type=uniforn"],
            "no known depth; did you mean uniform? Allowed: poisson_lognormal, ramp, set, uniform",
        ),
        (
            &["training.depth={type=\"uniform\", from=5, to=4}"],
            "training.depth.to: is 4; allowed: from, 5, to 1000000",
        ),
        (
            &["training.depth={type=\"set\", loops=[]}"],
            "training.depth.loops: has 0 items; needed: at least 1",
        ),
        (
            &["training.depth={type=\"set\", loops=[0]}"],
            "training.depth.loops.0: is 0; allowed: 1 to 1000000",
        ),
        (
            &["training.depth={type=\"poisson_lognormal\", mean=9.0, most=8}"],
            "training.depth.mean: is 9; allowed: above 0, at most `most`, 8",
        ),
        (
            &["training.depth={type=\"uniform\", from=1, to=4}", "training.n_loop_window=5"],
            "training.n_loop_window: is 5; allowed: 1 to the most loops of training.depth, 4",
        ),
        (
            &["training.unroll.type=first"],
            "training.unroll.type: is \"first\", no known unroll; allowed: implicit, last, phantom, random_prefix",
        ),
        (
            &["training.unroll.type=phantom"],
            "training.unroll.loops: is missing; expected an integer, 1 to 1000000",
        ),
        (
            &["training.unroll={type=\"phantom\", loops=9, damping=0.5}"],
            "training.unroll.loops: is 9; allowed: 1 to the loops of the deepest step, 4",
        ),
        (
            &["training.unroll={type=\"phantom\", loops=2, damping=0.0}"],
            "training.unroll.damping: is 0; allowed: above 0, at most 1",
        ),
        (
            &["training.unroll={type=\"phantom\", loops=3, damping=0.5}"],
            "training.n_loop_window: is 2, and the unroll `phantom` keeps 3; allowed: 3",
        ),
        (
            &["training.unroll.type=implicit"],
            "training.n_loop_window: is 2, and the unroll `implicit` keeps one loop; allowed: 1",
        ),
        (
            &[
                "training.unroll={type=\"implicit\", solver={type=\"anderson\", memory=1}}",
                "training.n_loop_window=1",
            ],
            "training.unroll.solver.memory: is 1; allowed: 2 to 20",
        ),
        (
            &["training.unroll={type=\"implicit\", tolerance=1.0}", "training.n_loop_window=1"],
            "training.unroll.tolerance: is 1; allowed: above 0, below 1",
        ),
        (
            &["training.loss.type=exit_weighted"],
            "training.loss: is \"exit_weighted\", and the model has no exit gate; needed: model.exit_gate = { bias = -3.0 }",
        ),
        (
            &["model.exit_gate={}"],
            "training.loss: is \"uniform\", which doesn't train model.exit_gate; allowed beside it: exit_weighted",
        ),
        (
            &["training.regularizers=[{type=\"jacobian\", weight=-1.0}]"],
            "training.regularizers.0.weight: is -1; allowed: 0 to 1000",
        ),
        (
            &["training.depth_per_prompt=true"],
            "training.depth_per_prompt: is true, and every prompt of a step loops as the curriculum says",
        ),
        (&["training.loss.type=progresive"], "did you mean progressive?"),
        (&["training.loss.type=progressive"], "training.loss.alpha: is missing; expected a number, 0 to 1"),
        (
            &["training.loss={type=\"progressive\", alpha=0.5}", "training.unroll.type=random_prefix"],
            "training.unroll: is \"random_prefix\", and the loss `progressive` goes through the loops in a way of its own; allowed: last",
        ),
        (
            &["training.loss.type=last", "training.n_loss_loops=2"],
            "training.n_loss_loops: is 2, and the loss `last` says itself which loops count; leave it out",
        ),
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
        "training.depth={type=\"set\", loops=[4, 6]}",
        "training.unroll.type=random_prefix",
        "training.unroll={type=\"phantom\", loops=2, damping=0.5}",
        "training.loss={type=\"progressive\", alpha=0.5}",
        "training.regularizers=[{type=\"fixed_point\", weight=0.5}]",
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

#[test]
fn loops_are_the_curriculums_or_drawn_and_never_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exp.json");
    let mut table = tiny();
    table["training"]["curriculum"].as_object_mut().unwrap().remove("loops");
    fs::write(&path, table.to_string()).unwrap();
    let load =
        |overrides: &[String]| looped_config::load(&path, overrides).map_err(|error| error.to_string());
    let message = load(&[]).unwrap_err();
    assert!(
        message.contains("training.curriculum.loops: is missing; expected an integer, at least 1"),
        "{message}"
    );
    let depth = ["training.depth={type=\"uniform\", from=2, to=6}".to_owned()];
    let drawn = load(&depth).unwrap().experiment;
    assert!(drawn.notes().iter().all(|note| !note.contains("loops")), "{:?}", drawn.notes());
    fs::write(&path, tiny().to_string()).unwrap();
    let both = load(&depth).unwrap().experiment;
    let told = "training.curriculum.loops: isn't used, since training.depth draws the loops".to_owned();
    assert!(both.notes().contains(&told), "{:?}", both.notes());
}
