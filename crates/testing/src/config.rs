//! Checks of configs.

use looped_core::{
    Baseline, BlockConfig, Depth, Injector, Kind, LoopLoss, Optimizer, Regularizer, Schedule, Task, Unroll,
};
use serde_json::Value;

/// A part's table, as JSON, reads back to itself, and an unknown key in it is refused.
pub fn round_trips<T: Part + ?Sized>(table: &str) {
    let once = T::rewrite(table).unwrap_or_else(|error| panic!("{table}: {error}"));
    assert_eq!(T::rewrite(&once).unwrap(), once, "a second reading gives another table");
    let with_extra = format!("{},\"no_such_key\":1}}", once.strip_suffix('}').unwrap());
    assert!(T::rewrite(&with_extra).is_err(), "an unknown key is swallowed: {with_extra}");
}

/// The `type` of a part's table is in the register, once, with a line of help for `looped list` and a description of
/// each key for editors.
pub fn is_registered<T: Part + ?Sized>(table: &str) {
    let table: Value = serde_json::from_str(table).unwrap();
    let tag = table["type"].as_str().unwrap_or_else(|| panic!("{table} has no type"));
    let name = T::KIND.name();
    let parts: Vec<_> = looped_core::Part::of(T::KIND).into_iter().filter(|part| part.tag == tag).collect();
    let [part] = parts[..] else {
        panic!("the {name} `{tag}` is registered {} times, by `register!` with this very tag", parts.len())
    };
    assert!(!part.help().is_empty(), "the {name} `{tag}` has no help: document its config type");
    let schema = (part.schema)();
    let keys = schema.get("properties").and_then(Value::as_object);
    for (key, of_key) in keys.into_iter().flatten() {
        assert!(of_key.get("description").is_some(), "the key `{key}` of {name} `{tag}` has no help");
    }
}

/// A trait object that is its own config.
pub trait Part {
    /// What the part is for.
    const KIND: Kind;

    /// Parses a table and writes it again.
    ///
    /// # Errors
    /// If the table isn't valid.
    fn rewrite(table: &str) -> serde_json::Result<String>;
}

macro_rules! part {
    ($($kind:ident: $config:ident),*) => {$(
        impl Part for dyn $config {
            const KIND: Kind = Kind::$kind;

            fn rewrite(table: &str) -> serde_json::Result<String> {
                serde_json::to_string(&serde_json::from_str::<Box<dyn $config>>(table)?)
            }
        }
    )*};
}
part!(
    Block: BlockConfig,
    Injector: Injector,
    Task: Task,
    Baseline: Baseline,
    Optimizer: Optimizer,
    Schedule: Schedule,
    Depth: Depth,
    Unroll: Unroll,
    LoopLoss: LoopLoss,
    Regularizer: Regularizer
);
