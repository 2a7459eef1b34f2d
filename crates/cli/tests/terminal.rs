//! What the terminal shows, word for word: the messages that people meet first, and the doors to the rest.
//!
//! `LOOPED_BLESS=1 cargo test -p cli --test terminal` writes what the program says now into this file.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::{Place, TINY, shows};
use snapbox::str;

/// An experiment with a mistake of each kind.
fn with_mistakes() -> Place {
    let place = Place::new();
    let text = TINY
        .replace("n_embd = 8", "n_embd = \"wide\"\nn_heads = 2")
        .replace("batch_size = 4\n", "")
        .replace("learning_rate = 1e-3", "lr = 1e-3\nlearning_rate = 0.0");
    fs::write(place.path("bad.toml"), text).unwrap();
    place
}

#[test]
fn mistakes_in_a_file_are_shown_with_their_lines() {
    let told = with_mistakes().looped(&["check", "bad.toml"]);
    assert_eq!(told.code, Some(2));
    shows(
        told.stderr,
        str![[r#"
error: bad.toml:11:10: model.n_embd: is "wide", expected an integer, 1 to 1000000
   |
11 | n_embd = "wide"
   |          ^^^^^^
error: bad.toml:12:1: model.n_heads: is unknown; did you mean model.block.n_head? Allowed: n_dims, n_positions, n_embd, n_layer, pretrained_path, block, injector, embed, head, exit_gate, prelude, coda, positions, loop_norm, first_state, relaxation
   |
12 | n_heads = 2
   | ^^^^^^^
error: bad.toml:22:2: training.batch_size: is missing; expected an integer, 1 to 1000000
   |
22 | [training]
   |  ^^^^^^^^
error: bad.toml:24:17: training.learning_rate: is 0; allowed: above 0, at most 1000
   |
24 | learning_rate = 0.0
   |                 ^^^
error: bad.toml:23:1: training.lr: is unknown; did you mean learning_rate? Allowed: [..]
   |
23 | lr = 1e-3
   | ^^

"#]],
    );
}

#[test]
fn a_mistake_in_an_argument_shows_the_argument() {
    let told = Place::new().looped(&["check", "tiny.toml", "model.n_emb=8"]);
    assert_eq!(told.code, Some(2));
    shows(
        told.stderr,
        str![[r#"
error: command line: model.n_emb: is unknown; did you mean n_embd? Allowed: n_dims, n_positions, n_embd, n_layer, pretrained_path, block, injector, embed, head, exit_gate, prelude, coda, positions, loop_norm, first_state, relaxation
 |
 | model.n_emb=8
 | ^^^^^^^^^^^

"#]],
    );
}

#[test]
fn a_file_that_is_no_toml_shows_where() {
    let place = Place::new();
    fs::write(place.path("broken.toml"), "name = \"x\"\nseed == 3\n").unwrap();
    let told = place.looped(&["run", "broken.toml"]);
    assert_eq!(told.code, Some(2));
    shows(
        told.stderr,
        str![[r#"
error: broken.toml:2:7: [..]
  |
2 | seed == 3
  |       ^

"#]],
    );
}

#[test]
fn an_experiment_and_a_sweep_taken_for_each_other_are_told_apart() {
    let place = Place::new();
    fs::write(place.path("sweep.toml"), "base = \"tiny.toml\"\nseeds = [0]\n").unwrap();
    place
        .looped(&["run", "sweep.toml"])
        .fails(2, &["sweep.toml", "is a sweep file", "looped sweep sweep.toml"]);
    place
        .looped(&["sweep", "tiny.toml", "--out", "s"])
        .fails(2, &["is an experiment", "looped run tiny.toml"]);
    // What is told can be pasted.
    fs::rename(place.path("sweep.toml"), place.path("my sweep.toml")).unwrap();
    place.looped(&["run", "my sweep.toml"]).fails(2, &["`looped sweep 'my sweep.toml' --out DIR`"]);
    fs::rename(place.path("tiny.toml"), place.path("my tiny.toml")).unwrap();
    place.looped(&["sweep", "my tiny.toml", "--out", "s"]).fails(2, &["`looped run 'my tiny.toml'`"]);
}

/// Colour is for terminals, and for those who ask for it.
#[test]
fn colour_is_where_it_is_wanted() {
    let place = with_mistakes();
    let escapes = |arguments: &[&str]| place.looped(arguments).stderr.contains('\u{1b}');
    assert!(!escapes(&["check", "bad.toml"]));
    assert!(!escapes(&["check", "bad.toml", "--color", "never"]));
    assert!(escapes(&["check", "bad.toml", "--color", "always"]));
    // What is wrong with the arguments themselves.
    assert!(!escapes(&["chek"]) && !escapes(&["--color=never", "chek"]));
    for arguments in
        [["--color", "always", "chek"], ["chek", "--color", "always"], ["check", "--color=always", "--no"]]
    {
        assert!(escapes(&arguments), "{arguments:?}");
    }
    assert!(place.looped(&["--color", "always", "--help"]).ok().stdout.contains('\u{1b}'));
    assert!(!escapes(&["chek", "--", "--color=always"]), "an argument, not an option");
    // What a file is called, and what it holds, can't steer the terminal either way.
    fs::write(place.path("a\u{1b}]0;x\u{7}.toml"), TINY.replace("\"tiny\"", "3 # \u{7f}")).unwrap();
    let told = place.looped(&["check", "a\u{1b}]0;x\u{7}.toml", "--color", "never"]);
    assert_eq!(told.code, Some(2));
    assert!(!told.stderr.contains(['\u{1b}', '\u{7}', '\u{7f}']), "{}", told.stderr);
    assert!(told.stderr.contains("\\u{1b}"), "{}", told.stderr);
}

#[test]
fn a_part_is_listed_with_its_keys() {
    let place = Place::new();
    assert_eq!(
        place.looped(&["list", "last_n"]).ok().stdout,
        place.looped(&["list", "injectors", "last_n"]).ok().stdout
    );
    shows(
        place.looped(&["list", "injector", "last_n"]).ok().stdout,
        str![[r#"
[..]

type = "last_n"
n: [..]
   least -1; must be given)
operation: How the state and the prompt meet. ("add" or "multiply"; "add" if not given)

"#]],
    );
    shows(
        place.looped(&["list", "engines"]).ok().stdout,
        str![[r#"
engines
  candle  candle's operations one by one, on any device that this build of it has.
  cuda    Kernels on an NVIDIA GPU, [..]
[..]
  fused   Hand-written kernels on the CPU, [..]
          [..]

"#]],
    );
    let fused = place.looped(&["list", "engine", "fused"]).ok().stdout;
    assert!(fused.contains("training.engine = \"fused\"\n"), "{fused}");
    place.looped(&["list", "injectors", "lastn"]).fails(2, &["no injector", "did you mean last_n?"]);
    place.looped(&["list", "lastn"]).fails(2, &["no component", "blocks, injectors", "did you mean last_n?"]);
    place.looped(&["list", "injecter", "last_n"]).fails(2, &["\"injecter\" is no kind; allowed: blocks, "]);
    let listed = place.looped(&["list", "--json"]).ok();
    let parts: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let last_n = parts.as_array().unwrap().iter().find(|part| part["type"] == "last_n").unwrap();
    assert_eq!(last_n["kind"], "injector");
    assert_eq!(last_n["keys"][0]["key"], "n");
    assert_eq!(last_n["keys"][0]["required"], true);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.looped(&["completions", shell]).ok().stdout;
        for word in ["looped", "resume", "completions", "device"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert!(place.looped(&["man"]).ok().stdout.contains(".TH looped 1"));
    place.looped(&["man", "--out", "man1"]).ok();
    for page in ["looped.1", "looped-run.1", "looped-ls.1"] {
        assert!(place.read(&format!("man1/{page}")).contains("looped"), "{page}");
    }
}

#[test]
fn the_environment_sets_what_no_option_sets() {
    let place = Place::new();
    let run = |arguments: &[&str], name: &str, value: &str| {
        place.command(arguments).env(name, value).output().unwrap()
    };
    let told = run(&["run", "tiny.toml"], "LOOPED_DEVICE", "gpu");
    assert_eq!(told.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&told.stderr).contains("gpu"), "{told:?}");
    let told = run(&["run", "tiny.toml", "-q", "training.train_steps=1"], "LOOPED_RUNS", "elsewhere");
    assert!(told.status.success(), "{told:?}");
    assert!(place.path("elsewhere/tiny/config.toml").is_file());
    assert_eq!(String::from_utf8_lossy(&told.stderr), "", "quiet says nothing that is no warning");
    let listed = run(&["ls"], "LOOPED_RUNS", "elsewhere");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("finished"), "{listed:?}");
}

#[test]
fn help_says_what_the_exit_codes_mean() {
    let help = Place::new().looped(&["--help"]).ok().stdout;
    for part in ["Exit codes:", "128", "-q, --quiet", "--color"] {
        assert!(help.contains(part), "{part} in {help}");
    }
}

#[test]
fn two_baselines_of_one_name_are_refused_and_not_dropped() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run", "training.train_steps=1"]).ok();
    place
        .looped(&["eval", "run", "--baseline", "knn", "--baseline", "{ type = \"knn\", k = 3 }"])
        .fails(2, &["is called knn_3"]);
    let scored = place
        .looped(&["eval", "run", "--json", "--baseline", "knn", "--baseline", "{ type = \"knn\", k = 2 }"])
        .ok();
    let scored: serde_json::Value = serde_json::from_str(&scored.stdout).unwrap();
    let names: Vec<&String> = scored["curves"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "knn_3", "knn_2"]);
}
