//! Curricula that are constant, and settings that can't act.

use crate::support::{Folder, GOOD, error_of};

fn notes(overrides: &[&str]) -> Vec<String> {
    Folder::with(&[("exp.toml", GOOD)]).load("exp.toml", overrides).unwrap().notes
}

#[test]
fn a_constant_is_a_number() {
    let folder = Folder::with(&[("exp.toml", GOOD)]);
    let loops = |overrides: &[&str]| {
        let loaded = folder.load("exp.toml", overrides).unwrap();
        loaded.experiment.training.curriculum.loops.unwrap()
    };
    let constant = loops(&["training.curriculum.loops=8"]);
    assert_eq!((constant.at(0), constant.at(99)), (8, 8));
    assert_eq!(loops(&["training.curriculum.loops={start=8, end=8}"]), constant);
    // What is written for the run directory reads back.
    let written =
        folder.load("exp.toml", &["training.curriculum.loops=8"]).unwrap().experiment.to_toml().unwrap();
    let again = Folder::with(&[("again.toml", &written)]).load("again.toml", &[]).unwrap().experiment;
    assert_eq!(again.training.curriculum.loops.unwrap().at(50), 8);
}

#[test]
fn a_bad_ramp_has_its_message_all_the_same() {
    assert_eq!(
        error_of(&["training.curriculum.loops=0"]),
        "command line: training.curriculum.loops: is 0; allowed: at least 1"
    );
    assert_eq!(
        error_of(&["training.curriculum.loops.every=3"]),
        "command line: training.curriculum.loops.every: is unknown; allowed: start, end, inc, interval"
    );
    assert_eq!(
        error_of(&["training.curriculum.loops={start=1, end=2, inc=1, interval=0}"]),
        "command line: training.curriculum.loops.interval: is 0; allowed: at least 1"
    );
    let message = error_of(&["training.curriculum.loops={start=3, end=6}"]);
    assert!(message.contains("training.curriculum.loops: inc is missing: from 3 to 6"), "{message}");
    let message = error_of(&["training.curriculum.loops=\"many\""]);
    assert!(message.contains("training.curriculum.loops: is \"many\", expected an integer"), "{message}");
}

#[test]
fn a_ramp_whose_end_is_never_reached_is_told() {
    assert_eq!(notes(&[]), [""; 0]);
    let never = "training.curriculum.loops={start=3, end=6, inc=0, interval=1}";
    let told = "training.curriculum.loops.end: is 6, which is never reached, since training.curriculum.loops.inc is 0: \
                the model trains up to 3";
    assert_eq!(notes(&[never]), [format!("{told}, and is evaluated at 6")]);
    assert_eq!(notes(&[never, "evaluation.loops=3"]), [told]);
    let short = notes(&["training.train_steps=30"]);
    let expected = "training.curriculum.loops.end: is 6, which is never reached, since training.train_steps is 30: \
                    the model trains up to 4, and is evaluated at 6";
    assert!(short.iter().any(|note| note == expected), "{short:?}");
}

#[test]
fn loops_of_a_model_that_never_was_looped_are_told() {
    let one = ["training.curriculum.loops=1", "training.n_loop_window=1"];
    assert_eq!(notes(&one), [""; 0]);
    assert_eq!(notes(&[one[0], one[1], "evaluation.loops=1"]), [""; 0]);
    assert_eq!(
        notes(&[one[0], one[1], "evaluation.loops=8"]),
        [
            "evaluation.loops: is 8, and every step of the training has one loop: the scores are those of a model that never was looped"
        ]
    );
    assert_eq!(notes(&["evaluation.loops=80"]), [""; 0]);
}

#[test]
fn a_learned_first_state_that_no_gradient_reaches_is_told() {
    let learned = "model.first_state={type = \"learned\"}";
    assert_eq!(notes(&[learned]), [""; 0]);
    let long = "training.curriculum.loops={start = 4, end = 6, inc = 1, interval = 10}";
    assert_eq!(
        notes(&[learned, long]),
        [
            "model.first_state: is learned, and no gradient reaches it: every step has 4 loops or more, and training.n_loop_window is 3"
        ]
    );
    assert_eq!(notes(&[learned, long, "training.unroll={type = \"random_prefix\"}"]), [""; 0]);
}

#[test]
fn an_injector_that_keeps_every_token_is_told() {
    let n = |n: &str| notes(&[&format!("model.injector.n={n}")]);
    assert_eq!(n("-1"), [""; 0]);
    assert_eq!(n("9"), [""; 0]);
    assert_eq!(
        n("22"),
        ["model.injector.n: is 22, which keeps the state of all 22 tokens in every prompt of the training"]
    );
    // Prompts have 5 points at first, 7 from step 10 and 9 from step 20 on.
    assert_eq!(
        n("14"),
        [
            "model.injector.n: is 14, which keeps the state of all 10 tokens in the first prompts; it acts from step 20 on"
        ]
    );
}

mod data {
    use looped_config::{load, load_run};

    use super::*;

    /// `count` prompts of `points` points with 4 coordinates, as safetensors.
    fn prompts(count: usize, points: usize) -> Vec<u8> {
        let (xs, ys) = (4 * count * points * 4, 4 * count * points);
        let header = format!(
            r#"{{"xs":{{"dtype":"F32","shape":[{count},{points},4],"data_offsets":[0,{xs}]}},"ys":{{"dtype":"F32","shape":[{count},{points}],"data_offsets":[{xs},{}]}}}}"#,
            xs + ys
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(std::iter::repeat_n(0, xs + ys));
        bytes
    }

    fn folder() -> Folder {
        let text =
            GOOD.replace("type = \"linear_regression\"", "type = \"dataset\"\npath = \"data.safetensors\"");
        Folder::with(&[("exp.toml", &text)])
    }

    #[test]
    fn sizes_that_the_data_lack_are_told_before_the_training() {
        let folder = folder();
        let path = folder.path().join("data.safetensors");
        std::fs::write(&path, prompts(20, 9)).unwrap();
        let message = folder.error("exp.toml", &[]);
        assert!(
            message.contains("task.path: 11 points a prompt are asked for, and ")
                && message.ends_with("has 9"),
            "{message}"
        );
        // The stages of the steps would do, but the evaluation asks for the ramp's end.
        let never = "training.curriculum.points={start=5, end=11, inc=0, interval=1}";
        assert!(folder.error("exp.toml", &[never]).contains("11 points a prompt are asked for"));
        std::fs::write(&path, prompts(20, 11)).unwrap();
        let notes = folder.load("exp.toml", &[]).unwrap().notes;
        assert_eq!(
            notes,
            [
                "task: the dataset has no validation_path, so scores are of the prompts that the model is trained on"
            ]
        );
        std::fs::write(folder.path().join("few.safetensors"), prompts(20, 10)).unwrap();
        let message = folder.error("exp.toml", &["task.validation_path=\"few.safetensors\""]);
        assert!(message.contains("task.validation_path: "), "{message}");
    }

    #[test]
    fn a_shift_that_no_stage_can_serve_is_told_before_the_training() {
        let task = "task={type=\"shifted\", base={type=\"linear_regression\"}, distribution={type=\"orthogonal_query\"}}";
        let message = error_of(&[task]);
        let part = "task.distribution: orthogonal_query asks for 5 points of 2 coordinates; allowed: at most 2 points";
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn the_experiment_of_a_run_is_read_without_its_data() {
        let folder = folder();
        let path = folder.path().join("exp.toml");
        let message = load(&path, &[]).unwrap_err().to_string();
        assert!(message.contains("task.path: ") && message.contains("cannot be read"), "{message}");
        assert_eq!(load_run(&path, &[]).unwrap().experiment.name, "good");
    }
}
