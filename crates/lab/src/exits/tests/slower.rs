//! Exits over how hard a prompt is, of a model whose right answer is known.

use super::*;

/// After loop l of a prompt with k examples it predicts y (1 - 2^(-l/k)), and its state is that factor everywhere.
struct Slower;

struct Slowly {
    state: Tensor,
    examples: f64,
    done: usize,
}

impl Loops for Slowly {
    fn next_state(&mut self) -> Result<Tensor> {
        self.done += 1;
        Ok((self.state.ones_like()? * (1.0 - left(self.examples, self.done)))?)
    }

    fn go_on_from(&mut self, _: &Tensor, done: usize) -> Result<()> {
        self.done = done;
        Ok(())
    }
}

/// What is left to do after so many loops.
fn left(examples: f64, loops: usize) -> f64 {
    (-(loops as f64) / examples).exp2()
}

impl Stateful for Slower {
    fn width(&self) -> usize {
        3
    }

    fn looping(&self, prompts: &Prompts, _: usize) -> Result<Looping<'_>> {
        let (state, examples) = (prompts.tokens(3, 0, &Device::Cpu)?, prompts.points as f64 - 1.0);
        Ok(Looping::new(Slowly { state, examples, done: 0 }))
    }
}

impl Predictor for Slower {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let factor = |index: usize| 1.0 - left(prompts.points as f64 - 1.0, index + 1) as f32;
        let values = (0..loops).flat_map(|index| prompts.ys.iter().map(move |y| y * factor(index))).collect();
        Ok(Predictions { values, width: 1, loops, prompts: prompts.prompts, points: prompts.points })
    }
}

#[test]
fn prompts_of_more_examples_are_left_later_where_the_model_takes_longer_over_them() {
    let loops = 24;
    let found = exits(&Slower, &Device::Cpu, &LinearRegression {}, &plan(loops), &()).unwrap();
    let state = &found.rules[1];
    // (1 - 2^(-l/k)) - (1 - 2^(-(l-1)/k)), relative to the first.
    let step =
        |examples: f64, l: usize| (left(examples, l - 1) - left(examples, l)) / (1.0 - left(examples, l));
    let exit = |examples: f64| (2..loops).find(|&l| step(examples, l) < state.half_way).unwrap() as f64;
    // Of five examples, as all prompts here have, the rule stops half way.
    assert_eq!(exit(5.0), 12.0);
    let [examples, dims] = &found.difficulties[..] else { panic!("{:?}", found.difficulties) };
    assert_eq!(examples.values, [2, 3, 4, 5]);
    let expected: Vec<f64> = [2.0, 3.0, 4.0, 5.0].map(exit).to_vec();
    assert_eq!(examples.exits[1].mean, expected);
    assert!(expected.windows(2).all(|pair| pair[0] < pair[1]), "{expected:?}");
    assert_eq!(dims.exits[1].mean, [12.0; 3], "however many coordinates are in use");
    assert_eq!(examples.oracle.mean, [24.0; 4]);
    // What is left of y^2 after the last loop, divided by the dimensions: its mean over prompts is about that of the factor.
    for (of, error) in [2.0, 3.0, 4.0, 5.0].into_iter().zip(&examples.error.mean) {
        let ratio = error / left(of, loops).powi(2);
        assert!((0.3..3.0).contains(&ratio), "{of} examples: {error}");
    }
}
