//! The study's and the paper's YAML.

use looped_core::{Kind, Part};

use crate::support::Folder;

const STUDY: &str = "
model:
    family: gpt2_loop
    n_embd: 256
    n_layer: 1
    n_head: 8
    n_dims: 20
    n_positions: 101
    n_last_tokens: -1
    use_lstm_layer: True

training:
    batch_size: 64
    task_name: linear_regression
    learning_rate: \"1e-4\"
    weight_decay: 0
    train_steps: 20001
    save_every_steps: 1000
    keep_every_steps: 20000
    curriculum:
        dims: {start: 10, end: 10, inc: 1, interval: 20000}
        points: {start: 11, end: 41, inc: 2, interval: 1000}
        loops: {start: 20, end: 30, inc: 2, interval: 500}
    n_loop_window: 20
";

#[test]
fn the_studys_file() {
    let folder = Folder::with(&[("study one.yaml", STUDY)]);
    let loaded = folder.load("study one.yaml", &[]).unwrap();
    assert_eq!(
        loaded.experiment.to_toml().unwrap(),
        r#"name = "study one"
seed = 42

[task]
type = "linear_regression"

[model]
n_dims = 20
n_positions = 101
n_embd = 256
n_layer = 1

[model.block]
type = "lstm"

[model.injector]
type = "full"
operation = "add"

[training]
batch_size = 64
learning_rate = 0.0001
weight_decay = 0.0
train_steps = 20001
n_loop_window = 20
engine = "auto"
precision = "f32"
log_every_steps = 10
save_every_steps = 1000
keep_every_steps = 20000
validate_every_steps = 500

[training.curriculum]
dims = { start = 10, end = 10, inc = 1, interval = 20000 }
points = { start = 11, end = 41, inc = 2, interval = 1000 }
loops = { start = 20, end = 30, inc = 2, interval = 500 }

[evaluation]
prompts = 1280
seed = 1
baselines = [{ type = "least_squares" }, { type = "averaging" }, { type = "knn", k = 3 }]
"#
    );
    let notes: Vec<String> = loaded.notes.iter().map(|note| folder.relative(note)).collect();
    assert_eq!(
        notes,
        [
            "study one.yaml: model.family gpt2_loop becomes loops of 1 block",
            "study one.yaml: the file's name becomes name = \"study one\"",
            "study one.yaml: training.task_name becomes task.type = \"linear_regression\"",
            "study one.yaml: model.use_lstm_layer becomes model.block.type = \"lstm\", for which model.n_head means nothing",
            "study one.yaml: model.loop_func and model.n_last_tokens become model.injector = { type = \"full\", operation = \"add\" }",
            "study one.yaml: not given, so as the published code has it: training.seed = 42",
        ]
    );
}

/// A chain as in the paper's code: the file above inherits from its folder's and from another's.
#[test]
fn the_papers_files_with_inherit() {
    let base = STUDY
        .replace("use_lstm_layer: True", "loop_func: z=f(x*z)")
        .replace("n_last_tokens: -1", "n_last_tokens: 20");
    let folder = Folder::with(&[
        ("wandb.yaml", "wandb:\n    project: loops\n    notes:\n    log_every_steps: 100\n"),
        ("base_loop.yaml", &format!("inherit: [wandb.yaml]\n{base}\ngpu:\n    cuda: True\n    n_gpu: 0\n")),
        (
            "sparse/base_loop.yaml",
            "inherit:\n    - ../base_loop.yaml\nmodel:\n    pretrained_path: model_1.pt\ntraining:\n    task_name: sparse_linear_regression\n    sparsity: 3\n    seed: 5\n\
             \x20   keep_every_steps: -1\n    curriculum:\n        points:\n            end: 31\nout_dir: ./results\ndebug_mode: False\nwandb:\n    name: sparse/a b\n",
        ),
    ]);
    let loaded = folder.load("sparse/base_loop.yaml", &["training.batch_size=4"]).unwrap();
    let table = folder.resolved("sparse/base_loop.yaml", &["training.batch_size=4"]);
    assert_eq!(table["name"].as_str(), Some("sparse_a b"));
    assert_eq!(table["seed"].as_integer(), Some(5));
    assert_eq!(table["task"].to_string(), r#"{ type = "sparse_linear_regression", sparsity = 3 }"#);
    assert_eq!(
        table["model"]["injector"].to_string(),
        r#"{ type = "last_n", n = 20, operation = "multiply" }"#
    );
    assert_eq!(table["model"]["pretrained_path"].as_str(), Some("sparse/model_1.pt"));
    assert_eq!(table["training"]["batch_size"].as_integer(), Some(4));
    assert_eq!(table["training"]["log_every_steps"].as_integer(), Some(100));
    assert_eq!(table["training"]["keep_every_steps"].as_integer(), Some(0));
    assert_eq!(
        table["training"]["curriculum"]["points"].to_string(),
        "{ start = 11, end = 31, inc = 2, interval = 1000 }"
    );
    let notes = folder.relative(&loaded.notes.join("\n"));
    assert!(
        notes.ends_with(
            "\nsparse/base_loop.yaml: ignored, as they mean nothing here: gpu, out_dir, debug_mode, wandb.notes, wandb.project"
        ),
        "{notes}"
    );
}

#[test]
fn the_other_families() {
    let of = |family: &str| {
        let text =
            STUDY.replace("gpt2_loop", family).replace("n_layer: 1", "n_layer: 12").replace("True", "False");
        Folder::with(&[("exp.yaml", &text)]).resolved("exp.yaml", &[])
    };
    let standard = of("gpt2");
    assert_eq!(standard["model"]["n_layer"].as_integer(), Some(12));
    assert_eq!(standard["model"]["injector"].to_string(), r#"{ type = "none" }"#);
    assert_eq!(standard["model"]["block"].to_string(), r#"{ type = "transformer", n_head = 8 }"#);
    assert_eq!(standard["training"]["n_loop_window"].as_integer(), Some(1));
    assert_eq!(standard["training"]["curriculum"]["loops"]["end"].as_integer(), Some(1));
    let tied = of("gpt2_tying");
    assert_eq!(tied["model"]["n_layer"].as_integer(), Some(1));
    assert_eq!(tied["training"]["n_loop_window"].as_integer(), Some(12));
    assert_eq!(tied["training"]["n_loss_loops"].as_integer(), Some(1));
    assert_eq!(
        tied["training"]["curriculum"]["loops"].to_string(),
        "{ start = 12, end = 12, inc = 0, interval = 1 }"
    );
}

/// The published code makes whole batches, once, at the curriculum's first sizes.
#[test]
fn a_fixed_set_of_prompts() {
    let fixed = |size: &str| {
        STUDY
            .replace("linear_regression", &format!("linear_regression\n    use_fixed_dataset: true{size}"))
            .replace("start: 11, end: 41", "start: 41, end: 41")
    };
    let folder = Folder::with(&[
        ("fixed.yaml", &fixed("\n    train_size: 1000")),
        ("none.yaml", &fixed("\n    train_size: 63")),
        ("absent.yaml", &fixed("")),
        ("grows.yaml", &fixed("\n    train_size: 1000").replace("start: 41, end: 41", "start: 11, end: 41")),
    ]);
    let loaded = folder.load("fixed.yaml", &[]).unwrap();
    let table = loaded.experiment.to_toml().unwrap();
    let task = "[task]\ntype = \"few_prompts\"\ncount = 960\n\n[task.base]\ntype = \"linear_regression\"\n";
    assert!(table.contains(task), "{table}");
    for file in ["none.yaml", "absent.yaml"] {
        let message = folder.load(file, &[]).unwrap_err().to_string();
        assert!(message.contains("training.train_size: must be at least one batch"), "{message}");
    }
    let message = folder.load("grows.yaml", &[]).unwrap_err().to_string();
    assert!(message.contains("training.curriculum.points: grows"), "{message}");
}

#[test]
fn bad_keys_and_values_are_told_in_the_files_own_words() {
    let folder = Folder::with(&[
        ("base.yaml", &STUDY.replace("n_embd", "n_emb").replace("gpt2_loop", "gpt3")),
        (
            "exp.yaml",
            "inherit: base.yaml\ntraining:\n    weight_decay: none\n    task_name: linear_regresion\n",
        ),
        ("task.yaml", &STUDY.replace("linear_regression", "linear_regresion\n    use_ctx: true")),
        ("size.yaml", &STUDY.replace("n_embd: 256", "n_embd: 0")),
        ("ring.yaml", "inherit: [ring.yaml]"),
        ("lost.yaml", "inherit: [nowhere.yaml]"),
    ]);
    assert_eq!(
        folder.error("exp.yaml", &[]),
        "base.yaml:3:13: model.family: is \"gpt3\"; did you mean gpt2? Allowed: gpt2, gpt2_tying, gpt2_loop\n\
         base.yaml:2:1: model.n_embd: is missing; expected an integer, at least 0\n\
         base.yaml:4:5: model.n_emb: is unknown; did you mean n_embd? Allowed: family, n_embd, n_layer, n_head, n_dims, n_positions, \
         loop_func, n_last_tokens, use_lstm_layer, pretrained_path, pred_type\n\
         exp.yaml:3:19: training.weight_decay: is \"none\", expected a number"
    );
    assert_eq!(
        folder.error("task.yaml", &[]),
        format!(
            "task.yaml:14:16: training.task_name: is \"linear_regresion\", no known task; did you mean linear_regression? Allowed: {}\n\
             task.yaml:15:14: training.use_ctx: is true, which can't be translated; allowed: false",
            Part::of(Kind::Task).iter().map(|part| part.tag).collect::<Vec<_>>().join(", ")
        )
    );
    assert_eq!(folder.error("size.yaml", &[]), "size.yaml:4:13: model.n_embd: is 0; allowed: 1 to 1000000");
    assert_eq!(folder.error("ring.yaml", &[]), "ring.yaml: inherit: is circular: ring.yaml -> ring.yaml");
    assert_eq!(
        folder.error("lost.yaml", &[]),
        "lost.yaml: inherit: nowhere.yaml cannot be read: No such file or directory (os error 2)"
    );
}

/// A published file can be the base of one of ours.
#[test]
fn ours_extends_theirs() {
    let folder = Folder::with(&[
        ("study.yaml", STUDY),
        (
            "exp.toml",
            "extends = \"study.yaml\"\nname = \"mine\"\n[model.block]\ntype = \"transformer\"\nn_head = 4",
        ),
    ]);
    let table = folder.resolved("exp.toml", &[]);
    assert_eq!(table["name"].as_str(), Some("mine"));
    assert_eq!(table["model"]["block"].to_string(), r#"{ type = "transformer", n_head = 4 }"#);
}
