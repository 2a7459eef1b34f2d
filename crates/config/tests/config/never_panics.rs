//! Whatever a file or an argument holds, the answer is an experiment or a message.
//!
//! `PROPTEST_CASES=100000 cargo test -p looped-config never_panics` makes a campaign of it.

use proptest::prelude::*;

use crate::support::{Folder, GOOD};

/// Text that looks like a config often enough to get past the parsers.
fn config_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("model"),
        Just("model.block"),
        Just("training"),
        Just("training.curriculum"),
        Just("task"),
        Just("type"),
        Just("n_head"),
        Just("extends"),
        Just("inherit"),
        Just("family"),
        Just("path"),
        Just("evaluation.baselines"),
        Just("blocks"),
        Just("\"lstm\""),
        Just("\"sequential\""),
        Just("loops"),
        Just("\"x\""),
        Just("1e999"),
        Just("nan"),
        Just("-1"),
        Just("99999999999999999999"),
        Just("0"),
        Just("{}"),
        Just("[]"),
        Just("[[]]"),
        Just("null"),
        Just("!tag"),
        Just("&a"),
        Just("*a"),
        Just("1979-05-27"),
    ];
    let join = prop_oneof![
        Just(" = "),
        Just(": "),
        Just("\n"),
        Just("\n["),
        Just("]\n"),
        Just(", "),
        Just("{"),
        Just("}"),
        Just("\n  "),
        Just("\n- "),
        Just(".")
    ];
    prop::collection::vec((word, join), 0..24)
        .prop_map(|parts| parts.into_iter().flat_map(|(a, b)| [a, b]).collect())
}

proptest! {
    #[test]
    fn any_text(text in prop_oneof![any::<String>(), config_like()]) {
        for name in ["a.toml", "a.yaml", "a.json"] {
            let _ = Folder::with(&[(name, &text)]).load(name, &[]);
        }
    }

    #[test]
    fn a_damaged_experiment(at in 0..GOOD.len(), cut in 0usize..20, insert in ".{0,8}") {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{insert}{}", &GOOD[..at], &GOOD[end..]);
        let _ = Folder::with(&[("a.toml", &text)]).load("a.toml", &[]);
    }

    #[test]
    fn any_override(
        path in prop_oneof![
            any::<String>(),
            "(model|training|task|evaluation)(\\.(block|injector|curriculum|loops|baselines|n_head|type|0)){0,3}",
        ],
        value in prop_oneof![any::<String>(), config_like(), "-?[0-9]{1,40}(\\.[0-9]{0,3})?(e[0-9]{1,4})?"],
    ) {
        let folder = Folder::with(&[("a.toml", GOOD)]);
        let _ = folder.load("a.toml", &[&format!("{path}={value}")]);
        let _ = folder.load("a.toml", &[&path]);
    }
}

#[test]
fn deep_nesting_and_fan_out_are_refused() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let folder = Folder::with(&[
        ("deep.toml", &format!("a = {}", deep("[", "]"))),
        ("deep.json", &deep("{\"a\":", "}")),
        ("deep.yaml", &deep("[", "]")),
        ("dots.toml", &format!("a{} = 1", ".a".repeat(100_000))),
        ("tag.yaml", &format!("a: !{} 1", "a.".repeat(100_000))),
        (
            "bomb.yaml",
            "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n\
            d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n\
            g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nh: &h [*g, *g, *g, *g, *g, *g, *g, *g, *g]\n",
        ),
        ("0.yaml", "inherit: [1.yaml, 1.yaml]"),
        ("1.yaml", "inherit: [2.yaml, 2.yaml]"),
        ("2.yaml", "inherit: [3.yaml, 3.yaml]"),
        ("3.yaml", "inherit: [4.yaml, 4.yaml]"),
        ("4.yaml", "inherit: [5.yaml, 5.yaml]"),
        ("5.yaml", "inherit: [6.yaml, 6.yaml]"),
        ("6.yaml", "inherit: [7.yaml, 7.yaml]"),
        ("7.yaml", "inherit: [8.yaml, 8.yaml]"),
        ("8.yaml", "{}"),
    ]);
    for name in ["deep.toml", "deep.json", "deep.yaml", "dots.toml", "tag.yaml", "bomb.yaml"] {
        let message = folder.error(name, &[]);
        assert!(message.len() < 2000, "{name}: {} bytes of message", message.len());
    }
    assert!(folder.error("0.yaml", &[]).ends_with("inherit: leads to more than 200 files"));
    let good = Folder::with(&[("a.toml", GOOD)]);
    assert!(good.error("a.toml", &[&format!("a{}=1", ".a".repeat(100_000))]).len() < 400);
    assert!(good.error("a.toml", &[&format!("a={}", deep("[", "]"))]).len() < 400);
}
