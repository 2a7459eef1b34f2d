//! Relative paths mean the folder of the file that they stand in.

use std::path::Path;

use figment::value::{Dict, Value};

/// Makes every `path` and `*_path` absolute, seen from `folder`: the experiment then means the same files from wherever
/// it is read again.
pub(crate) fn make_absolute(table: &mut Dict, folder: &Path) {
    for (key, value) in table {
        let is_path = key == "path" || key.ends_with("_path");
        match value {
            Value::String(_, path) if is_path && !path.is_empty() => {
                let absolute = std::path::absolute(folder.join(&*path)).ok();
                // A folder whose name isn't UTF-8 can't stand in TOML; the path stays as it is.
                if let Some(absolute) = absolute.as_deref().and_then(Path::to_str) {
                    absolute.clone_into(path);
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
