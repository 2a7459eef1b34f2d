//! Which file wins, and what paths mean.

use looped_config::Experiment;

use crate::support::{Folder, GOOD};

#[test]
fn a_file_wins_over_the_one_it_extends_and_the_command_line_over_both() {
    let folder = Folder::with(&[
        ("deep/base.toml", GOOD),
        ("middle.toml", "extends = \"deep/base.toml\"\nseed = 8\n[training]\nbatch_size = 9"),
        ("exp.json", r#"{"extends": "middle.toml", "training": {"batch_size": 10}}"#),
    ]);
    let table = folder.resolved("exp.json", &["training.train_steps=11", "training.learning_rate=1e-4"]);
    let training = &table["training"];
    assert_eq!(table["name"].as_str(), Some("good"));
    assert_eq!(table["seed"].as_integer(), Some(8));
    assert_eq!(training["batch_size"].as_integer(), Some(10));
    assert_eq!(training["train_steps"].as_integer(), Some(11));
    assert_eq!(training["learning_rate"].as_float(), Some(1e-4));
}

#[test]
fn a_table_of_the_same_type_unites_and_one_of_another_type_replaces() {
    let folder = Folder::with(&[
        ("base.toml", GOOD),
        ("same.toml", "extends = \"base.toml\"\n[model.injector]\ntype = \"last_n\"\nn = 4"),
        ("keys.toml", "extends = \"base.toml\"\n[model.injector]\nn = 4"),
        ("other.toml", "extends = \"base.toml\"\n[model.injector]\ntype = \"full\""),
        ("back.toml", "extends = \"other.toml\"\n[model.injector]\ntype = \"last_n\"\nn = 5"),
    ]);
    let injector =
        |file: &str, overrides: &[&str]| folder.resolved(file, overrides)["model"]["injector"].to_string();
    let multiply_4 = r#"{ type = "last_n", n = 4, operation = "multiply" }"#;
    assert_eq!(injector("same.toml", &[]), multiply_4);
    assert_eq!(injector("keys.toml", &[]), multiply_4);
    assert_eq!(injector("other.toml", &[]), r#"{ type = "full", operation = "add" }"#);
    assert_eq!(injector("back.toml", &[]), r#"{ type = "last_n", n = 5, operation = "add" }"#);

    assert_eq!(injector("base.toml", &["model.injector.n=4"]), multiply_4);
    assert_eq!(
        injector("base.toml", &["model.injector.type=full"]),
        r#"{ type = "full", operation = "add" }"#
    );
    assert_eq!(
        injector("other.toml", &["model.injector.n=4", "model.injector.type=last_n"]),
        r#"{ type = "last_n", n = 4, operation = "add" }"#
    );
    // A table given as a whole replaces the whole, whatever its type.
    assert_eq!(
        injector("base.toml", &["model.injector={type=\"last_n\",n=4}"]),
        r#"{ type = "last_n", n = 4, operation = "add" }"#
    );
}

#[test]
fn yaml_reads_as_toml_does() {
    let json: serde_json::Value = serde_json::to_value(GOOD.parse::<toml::Table>().unwrap()).unwrap();
    let folder = Folder::with(&[
        ("exp.toml", GOOD),
        ("exp.json", &json.to_string()),
        // JSON is YAML too.
        ("exp.yaml", &json.to_string()),
        ("exp.yml", "extends: exp.toml\ntraining:\n  learning_rate: 1e-4\n"),
    ]);
    let toml = folder.resolved("exp.toml", &[]);
    assert_eq!(folder.resolved("exp.json", &[]), toml);
    assert_eq!(folder.resolved("exp.yaml", &[]), toml);
    assert_eq!(folder.resolved("exp.yml", &[])["training"]["learning_rate"].as_float(), Some(1e-4));
}

#[test]
fn a_path_means_the_folder_of_the_file_that_set_it() {
    let with_path = GOOD.replace("n_layer = 1", "n_layer = 1\npretrained_path = \"model.pt\"");
    let folder = Folder::with(&[
        ("deep/base.toml", &with_path),
        ("exp.toml", "extends = \"deep/base.toml\""),
        (
            "data.toml",
            "extends = \"exp.toml\"\n[task]\ntype = \"dataset\"\npath = \"../prompts.safetensors\"",
        ),
    ]);
    let path = |overrides: &[&str]| {
        folder.resolved("exp.toml", overrides)["model"]["pretrained_path"].as_str().unwrap().to_owned()
    };
    assert_eq!(path(&[]), "deep/model.pt");
    assert_eq!(path(&["model.pretrained_path=/else/where.pt"]), "/else/where.pt");
    let here = std::env::current_dir().unwrap();
    assert_eq!(path(&["model.pretrained_path=some/where.pt"]), here.join("some/where.pt").to_str().unwrap());
    // The task opens its file, and names it from the root on: no working directory changes what it means.
    let message = folder.error("data.toml", &[]);
    assert!(message.starts_with("data.toml:4:8: task.path: "), "{message}");
    assert!(message.contains("../prompts.safetensors"), "{message}");
}

#[test]
fn an_experiment_from_text() {
    assert_eq!(Experiment::from_toml(GOOD).unwrap().name, "good");
    let error = Experiment::from_toml("name = 3").unwrap_err().to_string();
    assert!(
        error.starts_with("experiment:1:8: name: is 3, expected text\nexperiment:1:1: task: is missing"),
        "{error}"
    );
}
