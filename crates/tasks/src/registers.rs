//! Register tokens.

use looped_core::{
    Error, ModelDims, Objective, Problems, Prompts, Request, Result, Rng, Task, schemars, typetag,
};
use serde::{Deserialize, Serialize};

use crate::FunctionClass;

/// Another task, with some points of zeros between the examples and the last point, which is the query.
///
/// They say nothing of the function, so that their tokens are memory alone: with the injector `last_n` they can be all
/// that keeps its state beside the query. A learnt position tells them apart. Such tokens were called registers in
/// vision transformers (arXiv 2309.16588).
///
/// A prompt's points count them: of n points, n - 1 - `count` are examples. What is to be predicted at one is 0, unless
/// the loss counts the last query alone (`training.n_loss_queries = 1`).
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registers {
    /// The task whose prompts get them; any function class, but no dataset.
    #[schemars(schema_with = "looped_core::parts::task_schema")]
    pub base: Box<dyn FunctionClass>,
    /// How many points of zeros a prompt gets, each of two tokens.
    #[schemars(range(min = 1, max = MOST))]
    pub count: usize,
}

const MOST: usize = 1_000_000;

impl Registers {
    /// What is wrong with prompts of so many points, if anything is.
    fn leaves_no_query(&self, points: usize) -> Option<String> {
        (points <= self.count).then(|| {
            let count = self.count;
            format!("is {count}, and prompts have {points} points; allowed: fewer than these, since one is the query")
        })
    }
}

#[typetag::serde(name = "registers")]
impl Task for Registers {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        problems.within("base", |problems| self.base.validate(dims, problems));
        problems.require_in(self.count, 1..=MOST, "count");
    }

    fn check(&self, dims: &ModelDims, request: Request, problems: &mut Problems) {
        match self.leaves_no_query(request.points) {
            Some(why) => problems.report("count", why),
            None => problems.within("base", |problems| {
                let own = Request { points: request.points - self.count, ..request };
                self.base.check(dims, own, problems);
            }),
        }
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        if let Some(why) = self.leaves_no_query(request.points) {
            return Err(Error::Data(format!("task.count: {why}")));
        }
        let examples = request.points - self.count - 1;
        let drawn = self.base.sample(Request { points: examples + 1, ..request }, rng)?;
        let with_zeros = |values: &[f32], each: usize| -> Vec<f32> {
            let prompts = values.chunks_exact((examples + 1) * each);
            let zeros = vec![0.0; self.count * each];
            prompts
                .map(|one| one.split_at(examples * each))
                .flat_map(|(before, query)| [before, &zeros, query].concat())
                .collect()
        };
        let (xs, ys) = (with_zeros(&drawn.xs, drawn.n_dims), with_zeros(&drawn.ys, 1));
        Ok(Prompts { xs, ys, points: request.points, ..drawn })
    }

    fn objective(&self) -> Objective {
        self.base.objective()
    }

    fn normaliser(&self, dims: usize) -> f64 {
        self.base.normaliser(dims)
    }
}

looped_core::register!(Task, "registers", Registers);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinearRegression;
    use crate::checks::request;

    fn registers(count: usize) -> Registers {
        Registers { base: Box::new(LinearRegression {}), count }
    }

    #[test]
    fn points_of_zeros_stand_before_the_query_of_the_bases_prompt() {
        let draw = |task: &dyn Task, points| {
            task.sample(request(3, points, 2, 4), &mut Rng::stream(1, "prompts", 0)).unwrap()
        };
        let (own, base) = (draw(&registers(2), 7), draw(&LinearRegression {}, 5));
        assert_eq!(own.points, 7);
        for prompt in 0..3 {
            let ((xs, ys), (base_xs, base_ys)) = (own.get(prompt), base.get(prompt));
            assert_eq!([&xs[..16], &xs[24..]].concat(), base_xs);
            assert_eq!([&ys[..4], &ys[6..]].concat(), base_ys);
            assert!(xs[16..24].iter().chain(&ys[4..6]).all(|&v| v == 0.0));
        }
        // No example, and the query alone.
        assert_eq!(draw(&registers(6), 7).ys[..6], [0.0; 6]);
    }

    #[test]
    fn a_prompt_without_room_for_the_query_is_refused() {
        let refused = registers(5).sample(request(1, 5, 2, 4), &mut Rng::stream(1, "prompts", 0));
        let why = "count: is 5, and prompts have 5 points; allowed: fewer than these, since one is the query";
        assert_eq!(refused.unwrap_err().to_string(), format!("data: task.{why}"));
        let mut problems = Problems::new();
        let dims = ModelDims { n_dims: 4, n_positions: 5, n_embd: 8, n_layer: 1 };
        registers(5).check(&dims, request(1, 5, 2, 4), &mut problems);
        assert_eq!(problems.to_string(), why);
    }
}
