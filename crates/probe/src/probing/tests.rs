use super::*;
use looped_core::{Prompts, Request, Rng, typetag};

/// Prompts of the synthetic states that nets are scored on.
const SCORED: usize = 200;

/// 1000 states (6 tokens of width 8) of noise, whose fifth token holds a linear function of the target; and the target
/// (3 coordinates).
fn synthetic() -> (States, Rows) {
    let (prompts, tokens, width, dims) = (1000, 6, 8, 3);
    let mut rng = Rng::stream(4, "synthetic", 0);
    let map = rng.normals(width * dims);
    let targets = rng.normals(prompts * dims);
    let mut states = rng.normals(prompts * tokens * width);
    for (state, target) in states.chunks_mut(tokens * width).zip(targets.chunks(dims)) {
        for (i, value) in state[4 * width..5 * width].iter_mut().enumerate() {
            *value = (0..dims).map(|j| map[i * dims + j] * target[j]).sum();
        }
    }
    (States { values: states, tokens, width }, Rows { values: targets, width: dims })
}

fn mean(errors: &[f64]) -> f64 {
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn what_one_token_holds_is_found_and_read() -> Result<()> {
    let (states, target) = synthetic();
    let errors = reading_errors(&states, &target, SCORED, 0, &())?;
    assert!(mean(&errors) < 0.05, "{}", mean(&errors));
    assert_eq!(errors, reading_errors(&states, &target, SCORED, 0, &())?, "the same bits again");
    Ok(())
}

#[test]
fn what_belongs_to_another_prompt_is_not() -> Result<()> {
    let (states, target) = synthetic();
    let error = mean(&reading_errors(&states, &another_prompts(&target), SCORED, 0, &())?);
    assert!(error >= 0.9, "{error}");
    Ok(())
}

#[test]
fn another_prompts_target_is_never_ones_own() {
    let target = Rows { values: vec![0.0, 1.0, 2.0, 3.0, 4.0], width: 1 };
    assert_eq!(another_prompts(&target).values, [2.0, 3.0, 4.0, 0.0, 1.0]);
}

#[test]
fn sizes_that_tell_nothing_are_refused() {
    let plan = |points, prompts| EvalPlan { prompts, ..EvalPlan::new(points, 5, 5, 2, 0) };
    let refused = |plan| check(&plan).unwrap_err().to_string();
    assert!(refused(plan(4, 100)).contains("4 points don't tell the 5 weights"));
    assert!(refused(plan(5, 19)).contains("19 prompts are too few"), "{}", refused(plan(5, 19)));
    assert!(check(&plan(5, 20)).is_ok());
}

/// A task with so many prompts and no more.
#[derive(Debug, Serialize, Deserialize)]
struct Finite {
    prompts: usize,
}

#[typetag::serde(name = "finite")]
impl Task for Finite {
    fn sample(&self, _: Request, _: &mut Rng) -> Result<Prompts> {
        Err(Error::Data("this task draws nothing".into()))
    }

    fn count(&self, _: Split) -> Result<Option<usize>> {
        Ok(Some(self.prompts))
    }
}

#[test]
fn no_net_is_scored_on_prompts_that_it_learnt_from() {
    let plan = |prompts| EvalPlan { prompts, ..EvalPlan::new(5, 5, 5, 2, 0) };
    let scored = |asked, has| apart(&plan(asked), &Finite { prompts: has }).map(|plan| plan.prompts);
    // A fifth is scored at most: the other four are learnt from.
    assert_eq!(scored(64, 320).unwrap(), 64);
    assert_eq!(scored(64, 319).unwrap(), 63);
    assert_eq!(scored(1280, 400).unwrap(), 80);
    let message = scored(8, 99).unwrap_err().to_string();
    assert!(
        message.contains("the task has 99 prompts to score on") && message.contains("100 in all"),
        "{message}"
    );
}
