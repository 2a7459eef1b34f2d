//! `looped` with this crate's parts.

use looped_plugin_example as _;

fn main() -> std::process::ExitCode {
    cli::main()
}
