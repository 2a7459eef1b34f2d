//! `looped new`: a crate with a component of your own, and a `looped` that knows it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use looped_core::Kind;
use serde_json::json;

use crate::args::NewArgs;
use crate::failure::{Failure, Outcome};
use crate::output::{answer, shown};
use crate::scaffold::{Name, Workspace, files};
use crate::shell::command_line;

pub(crate) fn new(args: &NewArgs) -> Outcome {
    let kind = args.kind;
    let workspace = Workspace::find(args.looped.as_deref())?;
    let name = Name::new(&args.name, kind, &workspace.packages())?;
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from(name.tag()));
    create(&folder, &workspace)?;
    for (path, contents) in files(kind, &name, &workspace) {
        let path = folder.join(path);
        write(&path, &contents)
            .map_err(|error| Failure::failed(format!("{}: cannot write: {error}", path.display())))?;
    }
    let kind = Kind::from(kind).name();
    eprintln!("a crate with the {kind} `{}`; its README.md says what is where. Next:", name.tag());
    eprintln!("  {}", command_line(&["cd", &folder.display().to_string()]));
    eprintln!("  cargo test");
    eprintln!("  cargo run -- run experiments/{}.toml", name.tag());
    answer(args.output.json, &json!({ "folder": shown(&folder) }), || folder.display().to_string())
}

/// Makes the crate's folder, which must be new.
fn create(folder: &Path, workspace: &Workspace) -> Outcome {
    if folder.symlink_metadata().is_ok() {
        let message = format!("{} exists already; choose another folder by --out", folder.display());
        return Err(Failure::usage(message));
    }
    let cannot = |error: io::Error| Failure::failed(format!("{}: cannot create: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(cannot)?;
    if folder.canonicalize().map_err(cannot)?.parent() == Some(&workspace.path.join("crates")) {
        fs::remove_dir(folder).map_err(cannot)?;
        let message = format!(
            "{}: looped's own workspace takes every folder in crates/ for a member; choose a folder outside by --out",
            folder.display()
        );
        return Err(Failure::usage(message));
    }
    Ok(())
}

fn write(path: &Path, contents: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, contents)
}
