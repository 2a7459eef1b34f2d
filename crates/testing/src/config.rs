//! Checks of configs.

use looped_core::{BlockConfig, Injector, Task};

/// A part's table, as JSON, reads back to itself, and an unknown key in it is refused.
pub fn round_trips<T: Part + ?Sized>(table: &str) {
    let once = T::rewrite(table).unwrap_or_else(|error| panic!("{table}: {error}"));
    assert_eq!(T::rewrite(&once).unwrap(), once, "a second reading gives another table");
    let with_extra = format!("{},\"no_such_key\":1}}", once.strip_suffix('}').unwrap());
    assert!(T::rewrite(&with_extra).is_err(), "an unknown key is swallowed: {with_extra}");
}

/// A trait object that is its own config.
pub trait Part {
    /// Parses a table and writes it again.
    ///
    /// # Errors
    /// If the table isn't valid.
    fn rewrite(table: &str) -> serde_json::Result<String>;
}

macro_rules! part {
    ($($kind:ident),*) => {$(
        impl Part for dyn $kind {
            fn rewrite(table: &str) -> serde_json::Result<String> {
                serde_json::to_string(&serde_json::from_str::<Box<dyn $kind>>(table)?)
            }
        }
    )*};
}
part!(BlockConfig, Injector, Task);
