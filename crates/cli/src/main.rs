//! The `looped` binary.

fn main() -> std::process::ExitCode {
    cli::main()
}
