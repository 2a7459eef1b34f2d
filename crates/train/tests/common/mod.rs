//! A tiny experiment for tests.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its part")]

use std::sync::Arc;

use looped_blocks as _;
use looped_config::Experiment;
use looped_tasks as _;
use looped_train::Trainer;
use serde_json::{Value, json};

/// A transformer of width 8 on prompts of 4 points.
pub(crate) fn tiny() -> Value {
    json!({
        "name": "tiny",
        "seed": 3,
        "task": { "type": "linear_regression" },
        "model": {
            "n_dims": 2, "n_positions": 5, "n_embd": 8, "n_layer": 1,
            "block": { "type": "transformer", "n_head": 2 },
            "injector": { "type": "full" },
        },
        "training": {
            "batch_size": 4, "learning_rate": 1e-3, "train_steps": 12, "n_loop_window": 2,
            "log_every_steps": 2, "save_every_steps": 5, "keep_every_steps": 10, "validate_every_steps": 4,
            "curriculum": {
                "dims": { "start": 1, "end": 2, "inc": 1, "interval": 4 },
                "points": { "start": 3, "end": 5, "inc": 1, "interval": 3 },
                "loops": { "start": 2, "end": 4, "inc": 1, "interval": 4 },
            },
        },
        "evaluation": { "prompts": 8, "seed": 1, "baselines": [] },
    })
}

/// The experiment of a table.
pub(crate) fn experiment(table: Value) -> Arc<Experiment> {
    Arc::new(serde_json::from_value(table).unwrap())
}

/// A trainer at step 0 on the device that is tested.
pub(crate) fn trainer(table: Value) -> Trainer {
    Trainer::new(experiment(table), looped_testing::device()).unwrap()
}
