//! A task with a few prompts and no more: each is scored once, however many were asked for.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{Constant, LINEAR};
use looped_core::{Prompts, Request, Result, Rng, Split, Task, typetag};
use looped_eval::{EvalPlan, evaluate};
use serde::{Deserialize, Serialize};

/// The first of so many prompts, and then the first again, as a file's are given.
#[derive(Debug, Serialize, Deserialize)]
struct Finite {
    prompts: usize,
}

#[typetag::serde(name = "finite_for_tests")]
impl Task for Finite {
    fn sample(&self, request: Request, _: &mut Rng) -> Result<Prompts> {
        let of_file = Request { prompts: self.prompts, first: 0, ..request };
        let file = LINEAR.sample(of_file, &mut Rng::stream(3, "file", 0))?;
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for i in (request.first as usize..).take(request.prompts) {
            let (x, y) = file.get(i % self.prompts);
            xs.extend_from_slice(x);
            ys.extend_from_slice(y);
        }
        Ok(Prompts { xs, ys, prompts: request.prompts, ..file })
    }

    fn count(&self, _: Split) -> Result<Option<usize>> {
        Ok(Some(self.prompts))
    }

    fn scores_on_training_prompts(&self) -> bool {
        true
    }
}

/// An interval from ten prompts doesn't shrink because they are scored a hundred times.
#[test]
fn no_prompt_is_scored_twice() {
    let task = Finite { prompts: 10 };
    let of = |prompts| {
        let plan = EvalPlan { prompts, ..EvalPlan::new(4, 3, 3, 2, 1) };
        evaluate(&Constant(0.5), &task, &plan, &[], &()).unwrap()
    };
    let (ten, many) = (of(10), of(1280));
    assert_eq!(many.prompts, 10);
    assert_eq!(many, ten);
    assert!(many.trained_on, "what was scored are the prompts of the training");
    assert_eq!(of(5).prompts, 5);
}
