//! Few distinct prompts to train on.

use looped_core::{
    Error, ModelDims, Objective, Problems, Prompts, Request, Result, Rng, Split, Task, schemars, typetag,
};
use serde::{Deserialize, Serialize};

use crate::FunctionClass;
use crate::function_class::Function;
use crate::passes::Passes;

/// Another task, of whose prompts a training sees only so many, again and again; scores are of fresh ones.
///
/// What a model makes of them beyond the prompts it has seen is its inductive bias (arXiv 2311.12424 asks it of looped
/// models; its code calls the number `train_size`). Each pass takes every prompt once, in an order of its own. The
/// prompts and the orders follow from the experiment's seed, so that seeds differ in them too.
///
/// A prompt is drawn at the curriculum's present sizes. More points are added to those it had, but with more dimensions
/// it has another function: while the dimensions grow, each stage has its own prompts.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FewPrompts {
    /// The task whose prompts are drawn; any function class, but no dataset.
    #[schemars(schema_with = "looped_core::parts::task_schema")]
    pub base: Box<dyn FunctionClass>,
    /// How many prompts there are to train on.
    #[schemars(range(min = 1, max = MOST))]
    pub count: usize,
    #[serde(skip)]
    passes: Passes,
}

/// The order of a pass is kept in memory.
const MOST: usize = 100_000_000;

impl FewPrompts {
    /// So many prompts of a task.
    #[must_use]
    pub fn new(base: Box<dyn FunctionClass>, count: usize) -> Self {
        Self { base, count, passes: Passes::default() }
    }
}

#[typetag::serde(name = "few_prompts")]
impl Task for FewPrompts {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        problems.within("base", |problems| self.base.validate(dims, problems));
        problems.require_in(self.count, 1..=MOST, "count");
    }

    fn check(&self, dims: &ModelDims, request: Request, problems: &mut Problems) {
        problems.within("base", |problems| self.base.check(dims, request, problems));
    }

    fn count(&self, split: Split) -> Result<Option<usize>> {
        Ok((split == Split::Train).then_some(self.count))
    }

    fn scored_on(&self) -> Option<&dyn Task> {
        Some(self.base.as_ref())
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        if request.split == Split::Evaluation {
            return self.base.sample(request, rng);
        }
        if self.count == 0 {
            return Err(Error::Data("there are 0 prompts to train on".to_owned()));
        }
        let seed = rng.seed();
        // None yet: it has the sizes and the layout.
        let mut drawn = self.base.sample(Request { prompts: 0, ..request }, rng)?;
        for position in (request.first..).take(request.prompts) {
            let which = self.passes.prompt(seed, position, self.count) as u64;
            let one = Request { prompts: 1, first: which, ..request };
            let prompt = self.base.sample(one, &mut Rng::stream(seed, "few prompts", which))?;
            drawn.xs.extend(prompt.xs);
            drawn.ys.extend(prompt.ys);
        }
        Ok(Prompts { prompts: request.prompts, ..drawn })
    }

    fn objective(&self) -> Objective {
        self.base.objective()
    }

    fn normaliser(&self, dims: usize) -> f64 {
        self.base.normaliser(dims)
    }
}

/// Scored on its base's functions, at shifted inputs too.
#[typetag::serde(name = "few_prompts")]
impl FunctionClass for FewPrompts {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        self.base.draw(dims, rng)
    }

    fn observe(&self, value: f64, dims: usize, rng: &mut Rng) -> f64 {
        self.base.observe(value, dims, rng)
    }

    fn input_dims(&self, request: Request) -> usize {
        self.base.input_dims(request)
    }
}

looped_core::register!(Task, "few_prompts", FewPrompts);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::request;
    use crate::{Distribution, LinearRegression, Shifted};

    const COUNT: usize = 20;

    fn few() -> FewPrompts {
        FewPrompts::new(Box::new(LinearRegression {}), COUNT)
    }

    /// The prompts of steps of `batch` from prompt `first` on, as a trainer under `seed` asks for them.
    fn steps(
        task: &dyn Task,
        seed: u64,
        first: usize,
        batch: usize,
        points: usize,
    ) -> Vec<(Vec<f32>, Vec<f32>)> {
        (first..3 * COUNT)
            .step_by(batch)
            .flat_map(|first| {
                let request = Request { first: first as u64, ..request(batch, points, 3, 4) };
                let mut rng = Rng::stream(seed, "training prompts", (first / batch) as u64);
                let drawn = task.sample(request, &mut rng).unwrap();
                let prompt = |i| {
                    let (xs, ys) = drawn.get(i);
                    (xs.to_vec(), ys.to_vec())
                };
                (0..batch).map(prompt).collect::<Vec<_>>()
            })
            .collect()
    }

    fn sorted(prompts: &[(Vec<f32>, Vec<f32>)]) -> Vec<(Vec<f32>, Vec<f32>)> {
        let mut prompts = prompts.to_vec();
        prompts.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]));
        prompts
    }

    #[test]
    fn each_pass_takes_every_prompt_once_whatever_the_batches() {
        let whole = steps(&few(), 1, 0, COUNT, 5);
        let passes: Vec<_> = whole.chunks(COUNT).collect();
        let set = sorted(passes[0]);
        assert!(set.windows(2).all(|pair| pair[0] != pair[1]), "a prompt stands twice in a pass");
        assert_eq!([sorted(passes[1]), sorted(passes[2])], [set.clone(), set]);
        assert_ne!(passes[0], passes[1], "two passes have one order");
        assert_eq!(steps(&few(), 1, 0, 6, 5), whole);
        // As after a resume.
        assert_eq!(steps(&few(), 1, 36, 6, 5), whole[36..]);
    }

    #[test]
    fn seeds_have_prompts_of_their_own_and_longer_prompts_begin_as_shorter_ones() {
        let (task, other) = (few(), few());
        let of_one = steps(&task, 1, 0, COUNT, 5);
        // The same task asked under another seed in between.
        let of_two = steps(&task, 2, 0, COUNT, 5);
        assert!(sorted(&of_one[..COUNT]).iter().all(|prompt| !of_two.contains(prompt)));
        assert_eq!(steps(&task, 1, 0, COUNT, 5), of_one);
        let longer = steps(&other, 1, 0, COUNT, 7);
        let cut: Vec<_> = longer.iter().map(|(xs, ys)| (xs[..5 * 4].to_vec(), ys[..5].to_vec())).collect();
        assert_eq!(cut, of_one);
    }

    #[test]
    fn scores_are_of_fresh_prompts_and_of_the_bases_functions_at_shifted_ones() {
        let request = Request { split: Split::Evaluation, ..request(50, 5, 3, 4) };
        let draw = |task: &dyn Task| task.sample(request, &mut Rng::stream(1, "evaluation", 0)).unwrap();
        assert_eq!(draw(&few()), draw(&LinearRegression {}));
        assert_eq!(
            [Split::Train, Split::Evaluation].map(|split| few().count(split).unwrap()),
            [Some(COUNT), None]
        );
        let shift = |task: &dyn Task| Shifted::of(task, Distribution::HalfSubspace {}).unwrap();
        assert_eq!(draw(&shift(&few())), draw(&shift(&LinearRegression {})));
    }
}
