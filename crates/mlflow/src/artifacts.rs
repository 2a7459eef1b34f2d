//! The files of a run, to where its server keeps artifacts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::{Problem, Result};
use crate::server::Server;

/// Files of a run's directory that are sent at its end, where they are.
const FILES: [&str; 7] =
    ["config.toml", "run.json", "metrics.jsonl", "eval.json", "eval_ood.json", "probe.json", "report.html"];

/// Where a run's artifacts are kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// Behind the server, below this path.
    Proxied(String),
    /// In a folder that this machine sees too.
    Folder(PathBuf),
    /// Where this program can't write; the address.
    Elsewhere(String),
}

impl Store {
    /// Reads an artifact URI.
    pub(crate) fn of(uri: &str) -> Self {
        if let Some(path) = uri.strip_prefix("mlflow-artifacts:") {
            // With an authority, as in mlflow-artifacts://host:port/1/abc, it names the server that we are asking anyway.
            let path = match path.strip_prefix("//") {
                Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
                None => path,
            };
            return Self::Proxied(path.trim_matches('/').to_owned());
        }
        let local = uri.strip_prefix("file://").unwrap_or(uri);
        let path = Path::new(local);
        // ROOT/EXPERIMENT/RUN/artifacts: without the root here, the path is one of the server's machine.
        if path.is_absolute() && path.ancestors().nth(3).is_some_and(Path::is_dir) {
            return Self::Folder(path.to_owned());
        }
        Self::Elsewhere(uri.to_owned())
    }

    /// Puts a file there, under a name relative to the run's artifacts.
    pub(crate) fn put(&self, server: &Server, name: &str, file: &Path) -> Result<()> {
        match self {
            Self::Proxied(below) => server.upload(&format!("{below}/{name}"), file),
            Self::Folder(folder) => {
                let to = folder.join(name);
                let parent = to.parent().unwrap_or(folder);
                fs::create_dir_all(parent).map_err(Problem::at(parent))?;
                fs::copy(file, &to).map(drop).map_err(Problem::at(&to))
            }
            Self::Elsewhere(_) => Ok(()),
        }
    }
}

/// The files of the run in `folder` that are sent at its end, each with its name there.
pub(crate) fn files(folder: &Path, with_checkpoint: bool) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> =
        FILES.iter().map(|name| ((*name).to_owned(), folder.join(name))).collect();
    let below = |of: &str| {
        let entries = fs::read_dir(folder.join(of)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        let name =
            |path: &PathBuf| format!("{of}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        paths.into_iter().map(|path| (name(&path), path)).collect::<Vec<_>>()
    };
    found.extend(below("plots"));
    if with_checkpoint {
        found.extend(below("checkpoints/last"));
    }
    found.retain(|(_, path)| path.is_file());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_artifacts_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let here = root.path().join("1/abc/artifacts");
        assert_eq!(
            Store::of("mlflow-artifacts:/1/abc/artifacts"),
            Store::Proxied("1/abc/artifacts".to_owned())
        );
        assert_eq!(Store::of("mlflow-artifacts://host:5000/1/abc"), Store::Proxied("1/abc".to_owned()));
        assert_eq!(Store::of(here.to_str().unwrap()), Store::Folder(here.clone()));
        assert_eq!(Store::of(&format!("file://{}", here.display())), Store::Folder(here));
        for elsewhere in ["s3://bucket/1/abc/artifacts", "/nowhere/at/all/1/abc/artifacts", "mlruns/1/abc"] {
            assert_eq!(Store::of(elsewhere), Store::Elsewhere(elsewhere.to_owned()));
        }
    }

    #[test]
    fn the_files_of_a_run_are_what_is_there_of_them_and_checkpoints_only_when_asked() {
        let run = tempfile::tempdir().unwrap();
        for file in
            ["config.toml", "scores.safetensors", "plots/error.svg", "checkpoints/last/model.safetensors"]
        {
            fs::create_dir_all(run.path().join(file).parent().unwrap()).unwrap();
            fs::write(run.path().join(file), "x").unwrap();
        }
        let names = |all| files(run.path(), all).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(false), ["config.toml", "plots/error.svg"]);
        assert_eq!(names(true), ["config.toml", "plots/error.svg", "checkpoints/last/model.safetensors"]);
    }
}
