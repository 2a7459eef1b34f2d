//! What is said of a run beside its numbers: tags, of the program and the machine that train it, and the sweep that it belongs to.

use std::path::{Path, absolute};

use looped_train::{Session, command_line};

use crate::server::Pair;
use crate::text::tag;

/// The tags of the run in `folder`, which a session takes further.
pub(crate) fn tags(folder: &Path, session: Option<&Session>) -> Vec<Pair> {
    let folder = absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut tags = vec![
        ("mlflow.source.name".to_owned(), "looped".to_owned()),
        ("mlflow.source.type".to_owned(), "LOCAL".to_owned()),
        ("looped.folder".to_owned(), folder.display().to_string()),
    ];
    let mut add = |key: &str, value: String| {
        if !value.is_empty() {
            tags.push((key.to_owned(), tag(&value)));
        }
    };
    add("mlflow.user", user());
    add("looped.sweep", sweep(&folder).unwrap_or_default());
    if let Some(session) = session {
        if session.build.commit != "unknown" {
            add("mlflow.source.git.commit", session.build.commit.clone());
        }
        add("looped.version", session.build.words());
        add("looped.command", command_line(&session.command));
        add("looped.host", session.host.clone());
        add("looped.cpu", session.cpu.clone());
        add("looped.instruction_set", session.instruction_set.clone());
        add("looped.engine", session.engine.clone());
        add("looped.device", session.device.clone());
        add("looped.gpu", session.gpu.clone());
        add("looped.threads", session.threads.to_string());
        add("looped.ranks", session.ranks.map_or_else(String::new, |ranks| ranks.to_string()));
    }
    tags
}

/// The name of the folder of the sweep that a run is of: runs of one are `SWEEP/runs/NAME`, beside `SWEEP/configs/NAME.toml`.
fn sweep(folder: &Path) -> Option<String> {
    let (runs, name) = (folder.parent()?, folder.file_name()?);
    let sweep = runs.parent().filter(|_| runs.ends_with("runs"))?;
    let mut config = name.to_owned();
    config.push(".toml");
    let is_of_it = sweep.join("configs").join(config).is_file();
    is_of_it.then(|| sweep.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn user() -> String {
    ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default()
}
