//! What the libraries below read from the environment, once, when they are first used: how many threads, and how memory is
//! kept. A command that computes begins again with that set as it should be.
//!
//! **Threads.** The fused engine has threads of its own, but rayon and candle take their number from the environment; and
//! candle's wait for one another by spinning, so that two runs with a thread for every core each slow each other down
//! tenfold. `training.threads` holds for them too.
//!
//! **Memory.** The candle engine allocates each result anew. By default glibc gives large ones back to the system at once,
//! and gets them again page by page: a third of a small model's CPU time.

use std::path::Path;

use crate::args::Command;

/// What glibc keeps instead of giving it back; elsewhere nobody reads these.
const MEMORY: [(&str, &str); 3] = [
    ("MALLOC_MMAP_THRESHOLD_", "1073741824"),
    ("MALLOC_TRIM_THRESHOLD_", "2147483648"),
    ("MALLOC_TOP_PAD_", "67108864"),
];

/// Restarts the program unless its environment is what the command needs.
pub(crate) fn prepare(command: &Command) {
    let Some(experiment) = computed(command) else { return };
    let now = |name: &str| std::env::var(name).ok();
    let mut missing: Vec<(&str, String)> = Vec::new();
    if let Some(threads) = experiment.training.threads {
        let wanted = threads.to_string();
        // rayon reads the first, candle the second if it's there.
        let names = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];
        missing.extend(
            names
                .iter()
                .filter(|name| now(name).as_ref() != Some(&wanted))
                .map(|&name| (name, wanted.clone())),
        );
    }
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        // What the user has set holds.
        let unset = MEMORY.iter().filter(|(name, _)| now(name).is_none());
        missing.extend(unset.map(|&(name, value)| (name, value.to_owned())));
    }
    if !missing.is_empty() {
        restart(missing);
    }
}

/// The experiment that a command computes; nothing where there is none, or it can't be read, which the command itself says.
fn computed(command: &Command) -> Option<looped_config::Experiment> {
    let of =
        |path: &Path, overrides: &[String]| Some(looped_config::load_run(path, overrides).ok()?.experiment);
    let of_run = |run: &Path| of(&run.join("config.toml"), &[]);
    match command {
        Command::Run(args) => of(&args.experiment.experiment, &args.experiment.overrides),
        Command::Resume(args) => of_run(&args.run.path),
        Command::Eval(args) => of_run(&args.run.path),
        Command::Predict(args) => of_run(&args.run.path),
        Command::Probe(args) => of_run(&args.run.path),
        _ => None,
    }
}

/// The same command in this process, from its beginning. Returns only where the system can't: then the defaults hold.
fn restart(environment: Vec<(&str, String)>) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // The program that runs, even if its file was replaced meanwhile.
        let own = Path::new("/proc/self/exe");
        let program = if own.exists() { Ok(own.to_owned()) } else { std::env::current_exe() };
        let mut arguments = std::env::args_os();
        if let (Ok(program), Some(name)) = (program, arguments.next()) {
            let mut command = std::process::Command::new(program);
            let _ = command.arg0(name).args(arguments).envs(environment).exec();
        }
    }
    #[cfg(not(unix))]
    drop(environment);
}
