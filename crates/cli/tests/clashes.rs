//! A program with two parts of one name: this one, which links the built-in block `lstm` and registers another.
//!
//! The whole binary is that program, so there is no test harness: started with a command, it is `looped`.

use std::process::{Command, ExitCode};

use looped_core::schemars;

/// Another part with a name that is taken.
#[derive(schemars::JsonSchema)]
struct Lstm {}

looped_core::register!(Block, "lstm", Lstm);

fn main() -> ExitCode {
    if std::env::var_os("LOOPED_AS_A_PROGRAM").is_some() {
        return cli::main();
    }
    let itself = std::env::current_exe().expect("a running program has a path");
    for command in [["list", "blocks"], ["check", "no_such.toml"]] {
        let output =
            Command::new(&itself).args(command).env("LOOPED_AS_A_PROGRAM", "1").output().expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        for part in
            ["the block `lstm` is registered twice, by cli and by looped-blocks", "unlink one of the crates"]
        {
            assert!(told.contains(part), "{part:?} in {told}");
        }
        assert!(output.stdout.is_empty() && !told.contains("panicked"), "{told}");
    }
    println!("test two_parts_with_one_name_are_told_at_start_up ... ok");
    ExitCode::SUCCESS
}
