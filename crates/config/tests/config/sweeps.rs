//! Sweep files: read in every format, with all mistakes told at once.

use looped_config::sweep::Sweep;

use crate::support::{Folder, GOOD};

const TOML: &str = r#"
base = "base.toml"
seeds = [0, 1]
[axes]
"model.n_layer" = [1, 2]
model.injector = [{ type = "last_n", n = 4 }, { type = "full" }]
"#;

const YAML: &str = "
base: base.toml
seeds: [0, 1]
axes:
  model.n_layer: [1, 2]
  model:
    injector:
      - {type: last_n, n: 4}
      - {type: full}
";

const JSON: &str = r#"{"base": "base.toml", "seeds": [0, 1], "axes": {"model.n_layer": [1, 2],
  "model": {"injector": [{"type": "last_n", "n": 4}, {"type": "full"}]}}}"#;

fn error_of(text: &str) -> String {
    let folder = Folder::with(&[("sweep.toml", text)]);
    folder.relative(&Sweep::read(&folder.path().join("sweep.toml")).unwrap_err().to_string())
}

#[test]
fn toml_yaml_and_json_give_the_same_sweep_in_the_files_order() {
    let files = [("sweep.toml", TOML), ("sweep.yaml", YAML), ("sweep.json", JSON)];
    let folder = Folder::with(&files);
    for (name, text) in files {
        assert!(Sweep::is_at(&folder.path().join(name)), "{name}");
        let sweep = Sweep::read(&folder.path().join(name)).unwrap();
        assert_eq!(
            (sweep.seeds, sweep.base, sweep.text.as_str()),
            (vec![0, 1], folder.path().join("base.toml"), text)
        );
        let names: Vec<&str> = sweep.variants.iter().filter_map(|variant| variant.name.as_deref()).collect();
        assert_eq!(
            names,
            [
                "n_layer=1, injector=last_n n=4",
                "n_layer=1, injector=full",
                "n_layer=2, injector=last_n n=4",
                "n_layer=2, injector=full"
            ],
            "{name}"
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_key() {
    assert_eq!(
        error_of("bases = \"base.toml\"\nseeds = [0, -1]\n[[variant]]\nname = 3\nsets = {}\n"),
        "sweep.toml:1:1: base: is missing; expected text\n\
         sweep.toml:2:13: seeds.1: is -1; allowed: at least 0\n\
         sweep.toml:4:8: variant.0.name: is 3, expected text\n\
         sweep.toml:5:1: variant.0.sets: is unknown; did you mean set? Allowed: name, set\n\
         sweep.toml:1:1: bases: is unknown; did you mean base? Allowed: base, seeds, variant, axes, executor"
    );
    assert_eq!(
        error_of(
            "base = \"b.toml\"\nseeds = [1, 1]\n[[variant]]\nname = \"a\"\nset = { seed = 3, model = { n = 1 }, \"model.n\" = 2 }\n"
        ),
        "sweep.toml:2:9: seeds: lists 1 twice (entry 2)\n\
         sweep.toml:5:16: variant.0.set.seed: is the sweep's to set; list them as seeds = [0, 1, 2]\n\
         sweep.toml:5:33: variant.0.set.model.n: is set twice"
    );
}

#[test]
fn what_is_no_sweep_is_refused_with_a_word_on_what_it_is() {
    assert_eq!(
        error_of(crate::support::GOOD),
        "sweep.toml: is an experiment, not a sweep; train it by `looped run sweep.toml`"
    );
    let huge = format!("base = \"b.toml\"\nseeds = [0]\n#{}\n", "x".repeat(1 << 20));
    assert!(error_of(&huge).starts_with("sweep.toml: is larger than 1024 KiB"));
    let folder =
        Folder::with(&[("sweep.json", r#"{"base": "b.toml", "seeds": [0], "axes": {"a": [null]}}"#)]);
    assert!(Sweep::read(&folder.path().join("sweep.json")).is_err());
    assert!(!Sweep::is_at(&folder.path().join("gone.toml")));
}

#[test]
fn lists_among_the_arguments_are_the_axes_of_a_grid() {
    let folder = Folder::with(&[("base.toml", crate::support::GOOD)]);
    let base = folder.path().join("base.toml");
    let arguments =
        ["model.n_layer=[1, 2]", "training.train_steps=5", "model.n_embd = [8]"].map(str::to_owned);
    let (sweep, settings) = Sweep::from_arguments(&base, &arguments, vec![0, 1, 2]).unwrap();
    assert_eq!(settings, ["training.train_steps=5"]);
    let names: Vec<&str> = sweep.variants.iter().filter_map(|variant| variant.name.as_deref()).collect();
    assert_eq!(names, ["n_layer=1, n_embd=8", "n_layer=2, n_embd=8"]);
    // The file that says the same is a sweep file.
    std::fs::write(folder.path().join("sweep.toml"), &sweep.text).unwrap();
    let read = Sweep::read(&folder.path().join("sweep.toml")).unwrap();
    assert_eq!((read.base, read.seeds, read.variants), (sweep.base, sweep.seeds, sweep.variants));

    let error = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Sweep::from_arguments(&base, &arguments, vec![0]).unwrap_err().to_string()
    };
    assert_eq!(error(&["a=[1, "]), "command line: \"a=[1, \": is no TOML list");
    assert_eq!(error(&["a=[1]", "a=[2]"]), "command line: \"a=[2]\": is the second list of this key");
    assert_eq!(error(&["a=[1, 1]"]), "command line: axes.a: lists 1 twice (entry 2)");
}

#[test]
fn a_path_in_a_sweep_means_the_sweeps_folder() {
    let named = "[[variant]]\nname = \"theirs\"\nset = { \"model.pretrained_path\" = \"their.pt\" }\n";
    let axes = "[axes]\nmodel.pretrained_path = [\"their.pt\"]\n";
    for changes in [named, axes] {
        let sweep = format!("base = \"../base.toml\"\nseeds = [0]\n{changes}");
        let folder = Folder::with(&[("base.toml", GOOD), ("sweeps/sweep.toml", &sweep)]);
        let sweep = Sweep::read(&folder.path().join("sweeps/sweep.toml")).unwrap();
        let all = sweep.experiments(&["model.n_layer=2".to_owned()], &sweep.variants[0]).unwrap();
        let [experiment] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(experiment.model.pretrained_path, Some(folder.path().join("sweeps/their.pt")));
        assert_eq!(experiment.model.n_layer, 2);
    }
}

#[test]
fn a_seed_in_braces_is_the_runs_own_wherever_it_stands_but_in_a_name() {
    let named = "[[variant]]\nname = \"seed {seed}\"\nset = { \"model.pretrained_path\" = \"{seed}/their{seed}.pt\" }\n";
    let sweep = format!("base = \"base.toml\"\nseeds = [3, 12]\n{named}");
    let plain = "base = \"open.toml\"\nseeds = [3, 12]\n";
    let open = GOOD.replacen("[model]", "[model]\npretrained_path = \"their{seed}.pt\"", 1);
    assert_ne!(open, GOOD);
    let files = [("base.toml", GOOD), ("open.toml", &open), ("sweep.toml", &sweep), ("plain.toml", plain)];
    let folder = Folder::with(&files);
    let all = |file: &str, overrides: &[String]| {
        let sweep = Sweep::read(&folder.path().join(file)).unwrap();
        let all = sweep.experiments(overrides, &sweep.variants[0]).unwrap();
        all.into_iter().map(|one| (one.name, one.seed, one.model.pretrained_path.clone())).collect::<Vec<_>>()
    };
    let at = |name: &str| Some(folder.path().join(name));
    let own = [(3, "3/their3.pt"), (12, "12/their12.pt")];
    assert_eq!(all("sweep.toml", &[]), own.map(|(seed, file)| ("seed {seed}".to_owned(), seed, at(file))));
    let of_base: Vec<_> = all("plain.toml", &[]).into_iter().map(|(_, _, path)| path).collect();
    assert_eq!(of_base, [at("their3.pt"), at("their12.pt")]);
    let overridden = all("plain.toml", &["model.pretrained_path=/x/{seed}.pt".to_owned()]);
    assert_eq!(overridden[1].2, Some("/x/12.pt".into()));
}
