//! The scripts that Slurm gets.

use std::path::Path;

use looped_config::sweep::SlurmConfig;

use crate::sweep::Program;

/// What a job does: the words of a `looped sweep`, where `{task}` stands for the number of the array's task.
pub(super) struct Script<'a> {
    pub(super) name: &'a str,
    pub(super) folder: &'a Path,
    pub(super) config: &'a SlurmConfig,
    pub(super) program: &'a Program,
}

impl Script<'_> {
    /// The array: each task does the run with its number, of so many.
    pub(super) fn array(&self, runs: usize, device: &str) -> String {
        let folder = self.folder.display().to_string();
        let own = [
            format!("--output={folder}/slurm/%a.out"),
            "--open-mode=append".to_owned(),
            "--requeue".to_owned(),
            format!("--signal=B:USR1@{}", self.config.warn_seconds),
        ];
        let work = self.program.line(&["sweep", &folder, "--device", device]);
        let command = format!("exec {work} --shard \"$SLURM_ARRAY_TASK_ID/{runs}\"");
        self.text(&self.config.options(), &own, &command)
    }

    /// The comparison, once all tasks have ended.
    pub(super) fn report(&self) -> String {
        let folder = self.folder.display().to_string();
        let own = [format!("--output={folder}/slurm/report.out"), "--open-mode=append".to_owned()];
        // It needs no more than the least: a place, and somebody who pays.
        let place = SlurmConfig {
            partition: self.config.partition.clone(),
            account: self.config.account.clone(),
            qos: self.config.qos.clone(),
            ..SlurmConfig::usual()
        };
        let command = format!("exec {}", self.program.line(&["sweep", &folder, "--report"]));
        self.text(&place.options(), &own, &command)
    }

    fn text(&self, asked: &[String], own: &[String], command: &str) -> String {
        let mut lines = vec!["#!/bin/bash".to_owned(), format!("#SBATCH --job-name={}", self.name)];
        lines.extend(asked.iter().chain(own).map(|option| format!("#SBATCH {option}")));
        lines.extend(self.config.prologue.iter().cloned());
        lines.push(command.to_owned());
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_asks_for_is_asked_of_slurm() {
        let config = SlurmConfig {
            partition: Some("short".to_owned()),
            time: Some("4:00:00".to_owned()),
            cpus: Some(4),
            gpus: Some(1),
            prologue: vec!["module load cuda".to_owned()],
            ..SlurmConfig::usual()
        };
        let folder = Path::new("/shared/my sweep");
        let program = Program { path: folder.join("slurm/looped"), arguments: Vec::new() };
        let script = Script { name: "last_n", folder, config: &config, program: &program };
        assert_eq!(
            script.array(27, "auto"),
            "#!/bin/bash\n\
             #SBATCH --job-name=last_n\n\
             #SBATCH --partition=short\n\
             #SBATCH --time=4:00:00\n\
             #SBATCH --cpus-per-task=4\n\
             #SBATCH --gpus=1\n\
             #SBATCH --output=/shared/my sweep/slurm/%a.out\n\
             #SBATCH --open-mode=append\n\
             #SBATCH --requeue\n\
             #SBATCH --signal=B:USR1@120\n\
             module load cuda\n\
             exec '/shared/my sweep/slurm/looped' sweep '/shared/my sweep' --device auto --shard \"$SLURM_ARRAY_TASK_ID/27\"\n"
        );
        let interpreted =
            Program { path: "/usr/bin/python3".into(), arguments: vec!["-m".into(), "looped".into()] };
        let of_python = Script { name: "last_n", folder, config: &config, program: &interpreted }.report();
        assert!(of_python.ends_with("exec /usr/bin/python3 -m looped sweep '/shared/my sweep' --report\n"));
        assert!(!script.report().contains("gpus") && script.report().contains("--partition=short"));
    }
}
