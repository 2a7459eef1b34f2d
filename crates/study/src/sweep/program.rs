//! How `looped` is started again, for the runs of a sweep.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use looped_train::command_line;

/// A program that has the commands of `looped`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// What stands before a command's own arguments.
    pub arguments: Vec<String>,
}

/// What [`Program::is`] has said.
static SAID: OnceLock<Program> = OnceLock::new();

impl Program {
    /// Says how this program is started, where its file alone isn't `looped`: an interpreter needs to be told what to run. The first word holds.
    pub fn is(path: PathBuf, arguments: Vec<String>) {
        let _ = SAID.set(Self { path, arguments });
    }

    /// This very program, even where its file has since been replaced or removed.
    #[must_use]
    pub fn running() -> Self {
        let own = Path::new("/proc/self/exe");
        let path = || if own.exists() { own.to_owned() } else { std::env::current_exe().unwrap_or_default() };
        SAID.get().cloned().unwrap_or_else(|| Self { path: path(), arguments: Vec::new() })
    }

    /// This very program by a path that other processes know.
    ///
    /// # Errors
    /// If the system doesn't tell it.
    pub fn installed() -> std::io::Result<Self> {
        let of_file = || Ok(Self { path: std::env::current_exe()?, arguments: Vec::new() });
        SAID.get().cloned().map_or_else(of_file, Ok)
    }

    /// Whether its file is `looped`, and not an interpreter of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.arguments.is_empty()
    }

    /// A command line of it, as a shell reads it.
    pub(crate) fn line(&self, arguments: &[&str]) -> String {
        let own = std::iter::once(self.path.display().to_string()).chain(self.arguments.iter().cloned());
        command_line(&own.chain(arguments.iter().map(ToString::to_string)).collect::<Vec<_>>())
    }

    /// Starts it, once the command's arguments are added.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        command
    }
}
