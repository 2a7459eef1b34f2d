//! `looped` with the part_kind `part_name`.

use part_name as _;

fn main() -> std::process::ExitCode {
    cli::main()
}
