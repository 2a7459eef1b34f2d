//! The files of a new crate.

use looped_core::Kind;

use crate::args::PartKind;
use crate::scaffold::templates::{EXPERIMENT, checks, place, source};
use crate::scaffold::{Name, Workspace};

/// Path and contents of every file.
pub(crate) fn files(kind: PartKind, name: &Name, workspace: &Workspace) -> Vec<(String, String)> {
    let (without, with) = place(kind);
    let path = workspace.path.to_string_lossy();
    // In a TOML string, a Windows path's backslashes and a quote are escaped.
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    let fill = |template: &str| {
        template
            .replace("part_name", name.tag())
            .replace("PartName", &name.type_name())
            .replace("part_kind", Kind::from(kind).name())
            .replace("LOOPED", &path)
    };
    [
        ("Cargo.toml", fill(include_str!("../../templates/manifest.toml"))),
        ("Cargo.lock", workspace.lock.clone()),
        (".gitignore", "/target\n/runs\n".to_owned()),
        ("README.md", fill(include_str!("../../templates/README.md"))),
        ("src/lib.rs", fill(source(kind))),
        ("src/main.rs", fill(include_str!("../../templates/main.rs"))),
        ("tests/checks.rs", fill(checks(kind))),
        (&format!("experiments/{}.toml", name.tag()), fill(&EXPERIMENT.replacen(without, with, 1))),
    ]
    .map(|(path, contents)| (path.to_owned(), contents))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_placeholder_is_filled_and_every_experiment_names_the_part() {
        let workspace = Workspace { path: "/far/away".into(), lock: String::new() };
        for &kind in PartKind::value_variants() {
            let name = Name::new("moving_thing", kind, &[]).expect("a name");
            let files = files(kind, &name, &workspace);
            for (path, contents) in &files {
                for placeholder in ["part_name", "PartName", "part_kind", "LOOPED"] {
                    assert!(!contents.contains(placeholder), "{path}: {placeholder}");
                }
            }
            let experiment = &files.last().expect("files").1;
            assert!(experiment.contains("type = \"moving_thing\""), "{experiment}");
        }
    }
}
