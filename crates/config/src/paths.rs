//! Relative paths mean the folder of the file that they stand in.

use std::path::Path;

use figment::value::{Dict, Value};

/// Makes every `path` and `*_path` absolute, seen from `folder`: the experiment then means the same files from wherever
/// it is read again.
pub(crate) fn make_absolute(table: &mut Dict, folder: &Path) {
    for (key, value) in table {
        match value {
            Value::String(_, path) if is_path_key(key) => {
                if let Some(absolute) = absolute(path, folder) {
                    *path = absolute;
                }
            }
            Value::Dict(_, inner) => make_absolute(inner, folder),
            Value::Array(_, items) => items.iter_mut().for_each(|item| {
                if let Value::Dict(_, inner) = item {
                    make_absolute(inner, folder);
                }
            }),
            _ => {}
        }
    }
}

/// Whether a key's text is the path of a file.
pub(crate) fn is_path_key(key: &str) -> bool {
    key == "path" || key.ends_with("_path")
}

/// `path` seen from `folder`. `None` where it stays as it is: if it's empty, or if the folder's name isn't UTF-8 and so
/// can't stand in TOML.
pub(crate) fn absolute(path: &str, folder: &Path) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    std::path::absolute(folder.join(path)).ok()?.to_str().map(str::to_owned)
}
