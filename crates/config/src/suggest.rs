//! Which known name an unknown one stands for.

use figment::value::Value;
use looped_core::{Part, nearest};
use serde_json::Value as Schema;

use crate::wording::{part_kind, resolve};

/// What other programs and papers call our keys.
const OTHER_NAMES: [(&str, &[&str]); 24] = [
    ("batch_size", &["batch", "bs", "bsize", "n_batch"]),
    ("ema", &["ema_decay", "ema_rate"]),
    ("engine", &["backend"]),
    (
        "gradient_clip",
        &["grad_clip", "clip", "clip_grad", "clip_grad_norm", "max_grad_norm", "grad_norm_clip"],
    ),
    ("injector", &["injection", "inject", "input_injection"]),
    ("learning_rate", &["lr", "eta", "step_size", "rate"]),
    ("log_every_steps", &["log_every", "log_interval", "log_steps"]),
    ("loops", &["n_loops", "num_loops", "n_loop", "recurrence"]),
    ("n_dims", &["dims", "dim", "d", "n_dim", "input_dim", "x_dim"]),
    ("n_embd", &["d_model", "width", "hidden_size", "hidden_dim", "embed_dim", "embedding_dim", "n_embed"]),
    ("n_head", &["n_heads", "num_heads", "heads", "nhead"]),
    ("n_layer", &["n_layers", "num_layers", "layers", "n_blocks", "depth"]),
    ("n_loop_window", &["window", "loop_window", "bptt", "truncation"]),
    ("n_positions", &["context", "context_length", "max_len", "max_length", "seq_len", "n_ctx"]),
    ("optimizer", &["optim", "optimiser", "opt"]),
    ("precision", &["dtype", "amp", "mixed_precision"]),
    ("prompts", &["n_prompts", "num_prompts", "samples", "n_samples"]),
    ("save_every_steps", &["save_every", "save_interval", "checkpoint_every"]),
    ("schedule", &["scheduler", "lr_schedule", "lr_scheduler"]),
    ("seed", &["random_seed", "rng_seed"]),
    ("std", &["noise", "noise_std", "sigma"]),
    ("train_steps", &["steps", "n_steps", "num_steps", "max_steps", "iterations", "iters", "max_iters"]),
    ("warmup", &["warmup_steps", "n_warmup", "warm_up"]),
    ("weight_decay", &["wd", "l2", "decay"]),
];

/// Our name of what others call `name`.
fn our_name(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    OTHER_NAMES.iter().find(|(_, others)| others.contains(&name.as_str())).map(|(ours, _)| *ours)
}

/// The key that `unknown` in the table at the path `here` stands for: one of those `allowed` there, else the dotted
/// path of one in another table of `elsewhere`.
pub(crate) fn meant_key(
    unknown: &str,
    allowed: &[&str],
    here: &[String],
    elsewhere: &[Vec<String>],
) -> Option<String> {
    let ours = our_name(unknown);
    if let Some(ours) = ours.filter(|ours| allowed.contains(ours)) {
        return Some(ours.to_owned());
    }
    let last = |path: &Vec<String>| path.last().cloned().unwrap_or_default();
    let shared = |path: &Vec<String>| path.iter().zip(here).take_while(|(a, b)| a == b).count();
    let closest = |name: &str| {
        let named = elsewhere.iter().filter(|path| last(path) == name);
        named.max_by_key(|path| (shared(path), std::cmp::Reverse(path.len()))).map(|path| path.join("."))
    };
    let known = closest(unknown).or_else(|| ours.and_then(closest));
    let near = || nearest(unknown, allowed.iter().copied()).map(str::to_owned);
    let near_elsewhere = || {
        // A slip of some letters, not a word that is somewhere in a longer name.
        let alike = |name: &String| name.len().abs_diff(unknown.len()) <= 2;
        let names: Vec<String> = elsewhere.iter().map(last).filter(alike).collect();
        closest(nearest(unknown, names.iter().map(String::as_str))?)
    };
    known.or_else(near).or_else(near_elsewhere)
}

/// The paths of all keys that `value` may hold, as far as its parts are chosen.
pub(crate) fn all_keys(value: Option<&Value>, schema: &Schema) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    collect(value, schema, schema, &mut Vec::new(), &mut found);
    found
}

/// Deeper than any table of an experiment; a schema may refer to itself.
const DEEPEST: usize = 6;

fn collect(
    value: Option<&Value>,
    schema: &Schema,
    root: &Schema,
    path: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) {
    let schema = resolve(schema, root);
    if let Some(kind) = part_kind(schema) {
        let tag = value.and_then(Value::as_dict).and_then(|table| table.get("type")?.as_str());
        if let Some(part) = tag.and_then(|tag| Part::find(kind, tag)) {
            let own = (part.schema)().to_value();
            keys(value, &own, &own, path, found);
        }
    } else {
        keys(value, schema, root, path, found);
    }
}

fn keys(
    value: Option<&Value>,
    schema: &Schema,
    root: &Schema,
    path: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) {
    let properties = schema.get("properties").and_then(Schema::as_object).filter(|_| path.len() < DEEPEST);
    for (key, inner) in properties.into_iter().flatten() {
        path.push(key.clone());
        found.push(path.clone());
        collect(value.and_then(|value| value.as_dict()?.get(key)), inner, root, path, found);
        path.pop();
    }
}
