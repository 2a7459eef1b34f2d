//! Key by key from the published form to ours.

use looped_core::{Kind, Part, Problems};
use looped_curriculum::Ramp;
use serde_json::{Value, json};

use super::published::{Family, LoopFunc, Model, Published, Training, Wandb};
use crate::semantics::is_folder_name;
use crate::wording::{quoted, suggest, tags};

/// Our form, and what has become of each key whose name or meaning isn't the same.
pub(super) fn ours(published: Published, stem: &str, problems: &mut Problems) -> (Value, Vec<String>) {
    let mut notes = Notes::default();
    problems.within("model", |problems| refuse_model(&published.model, problems));
    problems.within("training", |problems| refuse_training(&published.training, problems));
    let (model, training) = (&published.model, &published.training);
    let wandb = published.wandb.as_ref();
    let schedule = schedule(model, training, &mut notes);
    let mut table = json!({
        "name": name(wandb, stem, &mut notes),
        "seed": seed(&published, &mut notes),
        "task": task(training, &mut notes),
        "model": {
            "n_dims": model.n_dims,
            "n_positions": model.n_positions,
            "n_embd": model.n_embd,
            "n_layer": schedule.n_layer,
            "block": block(model, &mut notes),
            "injector": injector(model, &mut notes),
        },
        "training": {
            "batch_size": notes.or_published("training.batch_size", training.batch_size, BATCH),
            "learning_rate": notes.or_published("training.learning_rate", training.learning_rate, 3e-4),
            "weight_decay": training.weight_decay.unwrap_or(0.0),
            "train_steps": notes.or_published("training.train_steps", training.train_steps, 1000),
            "n_loop_window": schedule.window,
            "save_every_steps": training.save_every_steps.unwrap_or(1000),
            "keep_every_steps": keep_every_steps(training, &mut notes),
            "curriculum": {
                "dims": training.curriculum.dims,
                "points": training.curriculum.points,
                "loops": schedule.loops,
            },
        },
    });
    if let Some(path) = &model.pretrained_path {
        table["model"]["pretrained_path"] = json!(path);
    }
    if let Some(counted) = schedule.loss_loops {
        table["training"]["n_loss_loops"] = json!(counted);
    }
    if let Some(steps) = wandb.and_then(|wandb| wandb.log_every_steps) {
        notes.say(format!("wandb.log_every_steps becomes training.log_every_steps = {steps}"));
        table["training"]["log_every_steps"] = json!(steps);
    }
    (table, notes.finish(ignored(&published)))
}

/// The published code's batch size, where a file gives none.
const BATCH: usize = 64;

/// Loops, and what of them is trained on.
struct Schedule {
    n_layer: usize,
    loops: Ramp,
    window: usize,
    loss_loops: Option<usize>,
}

fn schedule(model: &Model, training: &Training, notes: &mut Notes) -> Schedule {
    let layers = model.n_layer;
    match model.family {
        Family::Gpt2 => {
            notes.say(format!(
                "model.family gpt2, the standard transformer, becomes one loop of {layers} blocks"
            ));
            notes.say("training.curriculum.loops and training.n_loop_window become one loop, with gradient");
            Schedule { n_layer: layers, loops: Ramp::constant(1), window: 1, loss_loops: None }
        }
        Family::Gpt2Tying => {
            notes.say(format!(
                "model.family gpt2_tying and model.n_layer = {layers} become one block, looped {layers} times, all loops with \
                 gradient: model.n_layer = 1, training.n_loop_window = {layers}, training.n_loss_loops = 1"
            ));
            Schedule { n_layer: 1, loops: Ramp::constant(layers), window: layers, loss_loops: Some(1) }
        }
        Family::Gpt2Loop => {
            notes.say(format!(
                "model.family gpt2_loop becomes loops of {layers} block{}",
                if layers == 1 { "" } else { "s" }
            ));
            let loops = training.curriculum.loops.unwrap_or(Ramp::constant(1));
            let window = notes.or_published("training.n_loop_window", training.n_loop_window, 1);
            if window > loops.end {
                notes.say(format!("training.n_loop_window, more than all loops, becomes {}", loops.end));
            }
            Schedule { n_layer: layers, loops, window: window.min(loops.end), loss_loops: None }
        }
    }
}

fn block(model: &Model, notes: &mut Notes) -> Value {
    let n_head = model.n_head;
    if model.use_lstm_layer == Some(true) {
        notes.say(
            "model.use_lstm_layer becomes model.block.type = \"lstm\", for which model.n_head means nothing",
        );
        return json!({ "type": "lstm" });
    }
    notes.say(format!("model.n_head becomes model.block = {{ type = \"transformer\", n_head = {n_head} }}"));
    json!({ "type": "transformer", "n_head": n_head })
}

fn injector(model: &Model, notes: &mut Notes) -> Value {
    if model.family != Family::Gpt2Loop {
        notes.say("no injection: model.injector.type = \"none\"");
        return json!({ "type": "none" });
    }
    let operation = match model.loop_func.unwrap_or_default() {
        LoopFunc::Add => "add",
        LoopFunc::Multiply => "multiply",
    };
    let injector = match model.n_last_tokens {
        None | Some(-1) => json!({ "type": "full", "operation": operation }),
        Some(n) => json!({ "type": "last_n", "n": n, "operation": operation }),
    };
    let shown =
        toml::Value::try_from(&injector).map_or_else(|_| injector.to_string(), |table| table.to_string());
    notes.say(format!("model.loop_func and model.n_last_tokens become model.injector = {shown}"));
    injector
}

fn task(training: &Training, notes: &mut Notes) -> Value {
    const SPARSE: &str = "sparse_linear_regression";
    let name = training.task_name.as_str();
    notes.say(format!("training.task_name becomes task.type = \"{name}\""));
    let class = match training.sparsity {
        Some(sparsity) if name == SPARSE => {
            notes.say(format!("training.sparsity becomes task.sparsity = {sparsity}"));
            json!({ "type": name, "sparsity": sparsity })
        }
        Some(_) => {
            notes.say(format!("training.sparsity is ignored: {name} has none"));
            json!({ "type": name })
        }
        None if name == SPARSE => {
            notes.say("training.sparsity is not given: task.sparsity = 3, the paper's");
            json!({ "type": name, "sparsity": 3 })
        }
        None => json!({ "type": name }),
    };
    match fixed_prompts(training) {
        Some(count) => {
            notes.say(format!(
                "training.use_fixed_dataset and training.train_size become task.type = \"few_prompts\" with \
                 task.count = {count}, the whole batches of train_size"
            ));
            json!({ "type": "few_prompts", "base": class, "count": count })
        }
        None => class,
    }
}

/// How many prompts there are to train on, where their number is fixed: the published code makes whole batches.
fn fixed_prompts(training: &Training) -> Option<usize> {
    let batch = training.batch_size.unwrap_or(BATCH).max(1);
    let wanted = training.train_size.filter(|_| training.use_fixed_dataset == Some(true))?;
    Some(wanted / batch * batch)
}

fn seed(published: &Published, notes: &mut Notes) -> u64 {
    if published.training.seed.is_some() {
        notes.say("training.seed becomes seed");
    }
    notes.or_published("training.seed", published.training.seed.or(published.seed), 42)
}

fn keep_every_steps(training: &Training, notes: &mut Notes) -> u64 {
    match training.keep_every_steps.map(u64::try_from) {
        Some(Ok(steps)) => steps,
        _ => {
            notes.say(
                "training.keep_every_steps, -1 or not given, becomes 0: no checkpoint is kept but the last",
            );
            0
        }
    }
}

/// wandb's name of the run, or the file's, made fit for a folder.
fn name(wandb: Option<&Wandb>, stem: &str, notes: &mut Notes) -> String {
    let given = wandb.and_then(|wandb| wandb.name.as_deref());
    let (from, wanted) = given.map_or(("the file's name", stem), |name| ("wandb.name", name));
    let fit = |c: char| if is_folder_name(&c.to_string()) || " .-".contains(c) { c } else { '_' };
    let mut name: String = wanted.chars().map(fit).take(50).collect();
    if !is_folder_name(&name) {
        name = "experiment".to_owned();
    }
    notes.say(format!("{from} becomes name = {}", quoted(&name)));
    name
}

fn refuse_model(model: &Model, problems: &mut Problems) {
    let known = model.pred_type.as_deref().is_none_or(|kind| kind == "regression");
    problems.require(known, "pred_type", || {
        let given = quoted(model.pred_type.as_deref().unwrap_or_default());
        format!("is {given}; allowed: regression (for classes, training.task_name: linear_classification)")
    });
}

fn refuse_training(training: &Training, problems: &mut Problems) {
    let name = training.task_name.as_str();
    let known = Part::find(Kind::Task, name).is_some();
    problems.require(known, "task_name", || {
        format!("is {}, no known task{}", quoted(name), suggest(name, &tags(Kind::Task)))
    });
    if training.use_fixed_dataset == Some(true) {
        refuse_fixed(training, problems);
    }
    for (key, value) in [("use_ctx", training.use_ctx), ("add_inputs_embeds", training.add_inputs_embeds)] {
        problems.require(value != Some(true), key, || {
            "is true, which can't be translated; allowed: false".to_owned()
        });
    }
}

/// The published code draws its fixed prompts once, at the first sizes of the curriculum.
fn refuse_fixed(training: &Training, problems: &mut Problems) {
    problems.require(fixed_prompts(training).is_some_and(|count| count > 0), "train_size", || {
        "must be at least one batch where use_fixed_dataset is true".to_owned()
    });
    problems.within("curriculum", |problems| {
        for (key, ramp) in [("dims", training.curriculum.dims), ("points", training.curriculum.points)] {
            problems.require(ramp.start == ramp.end, key, || {
                "grows, and the published code's fixed prompts don't; allowed with use_fixed_dataset: start equal to end"
                    .to_owned()
            });
        }
    });
}

/// The keys that are given and mean nothing here.
fn ignored(published: &Published) -> Vec<String> {
    let Published { model, training, .. } = published;
    let looped = model.family == Family::Gpt2Loop;
    let all = [
        ("gpu", published.gpu.is_some()),
        ("out_dir", published.out_dir.is_some()),
        ("debug_mode", published.debug_mode.is_some()),
        ("model.pred_type", model.pred_type.is_some()),
        ("model.loop_func", model.loop_func.is_some() && !looped),
        ("model.n_last_tokens", model.n_last_tokens.is_some() && !looped),
        ("training.use_fixed_dataset", training.use_fixed_dataset == Some(false)),
        ("training.use_ctx", training.use_ctx.is_some()),
        ("training.add_inputs_embeds", training.add_inputs_embeds.is_some()),
        ("training.resume_id", training.resume_id.is_some()),
        ("training.train_size", training.train_size.is_some() && training.use_fixed_dataset != Some(true)),
        ("training.test_size", training.test_size.is_some()),
        ("training.test_idx", training.test_idx.is_some()),
    ];
    let named = all.into_iter().filter(|(_, given)| *given).map(|(key, _)| key.to_owned());
    let wandb =
        published.wandb.iter().flat_map(|wandb| wandb.others.keys().map(|key| format!("wandb.{key}")));
    named.chain(wandb).collect()
}

/// What is said about a translation.
#[derive(Default)]
struct Notes {
    said: Vec<String>,
    defaults: Vec<String>,
}

impl Notes {
    fn say(&mut self, note: impl Into<String>) {
        self.said.push(note.into());
    }

    /// `given`, or the published code's default, which is noted.
    fn or_published<T: std::fmt::Display>(&mut self, key: &str, given: Option<T>, default: T) -> T {
        given.unwrap_or_else(|| {
            self.defaults.push(format!("{key} = {default}"));
            default
        })
    }

    fn finish(mut self, ignored: Vec<String>) -> Vec<String> {
        if !self.defaults.is_empty() {
            let defaults = self.defaults.join(", ");
            self.said.push(format!("not given, so as the published code has it: {defaults}"));
        }
        if !ignored.is_empty() {
            self.said.push(format!("ignored, as they mean nothing here: {}", ignored.join(", ")));
        }
        self.said
    }
}
