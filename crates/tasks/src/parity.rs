//! Whether the bits so far hold an odd number of ones.

use looped_core::{
    Alphabet, Noise, Objective, Prompts, Request, Result, Rng, Split, Task, TokenLayout, schemars, typetag,
};
use serde::{Deserialize, Serialize};

/// Parity of a sequence of random bits: 1 if it holds an odd number of ones, else 0.
///
/// A prompt is tokens, not points: the bits x_1, x_2, ..., each one token, with `model.n_dims = 1`, `model.embed` a vocabulary of 2 and
/// `model.head` 2 classes. The curriculum's `points` is how many. A causal model solves every shorter sequence on its way, so an evaluation
/// scores each length of a sequence; with a block that isn't causal, only the last is free of what follows. Fan et al. (arXiv 2409.15647)
/// train looped models on it to do longer sequences by more loops.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// What is trained on: the parity of the whole sequence, of a length drawn from 1 to the curriculum's `points`, or that at each bit.
    #[serde(default)]
    pub answer: Answer,
}

/// Which parities are trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// That of the whole sequence; its length is drawn uniformly for each prompt.
    #[default]
    Last,
    /// That of the bits so far, at each bit.
    Each,
}

#[typetag::serde(name = "parity")]
impl Task for Parity {
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        let Request { prompts, points, split, .. } = request;
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for _ in 0..prompts {
            let mut odd = 0.0;
            // The bits beyond it follow what is asked for: no causal model sees them.
            let length = 1 + below(points, rng);
            for point in 1..=points {
                let bit = below(2, rng);
                if bit == 1 {
                    odd = 1.0 - odd;
                }
                let asked = split != Split::Train || self.answer == Answer::Each || point == length;
                xs.push(bit as f32);
                ys.push(if asked { odd } else { f32::NAN });
            }
        }
        Ok(Prompts {
            xs,
            ys,
            shown: None,
            prompts,
            points,
            n_dims: 1,
            layout: TokenLayout::Ids,
            noise: Noise::default(),
        })
    }

    fn targets_in_prompt(&self) -> bool {
        false
    }

    fn alphabet(&self) -> Option<Alphabet> {
        Some(Alphabet { tokens: 2, classes: 2 })
    }

    fn objective(&self) -> Objective {
        Objective::Classes
    }
}

looped_core::register!(Task, "parity", Parity);

/// A number below `count`, each as likely.
fn below(count: usize, rng: &mut Rng) -> usize {
    ((rng.uniform() * count as f64) as usize).min(count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(answer: Answer, split: Split) -> Prompts {
        let request = Request { prompts: 2000, points: 7, dims: 1, n_dims: 1, first: 0, split };
        Parity { answer }.sample(request, &mut Rng::stream(4, "test", 0)).unwrap()
    }

    #[test]
    fn answers_are_the_parity_of_the_bits_so_far() {
        for (answer, split) in [(Answer::Each, Split::Train), (Answer::Last, Split::Evaluation)] {
            let prompts = draw(answer, split);
            for i in 0..prompts.prompts {
                let (xs, ys) = prompts.get(i);
                let sums = xs.iter().scan(0.0, |sum, x| {
                    *sum += x;
                    Some(*sum)
                });
                assert!(sums.zip(ys).all(|(sum, y)| sum % 2.0 == *y), "{xs:?} {ys:?}");
            }
        }
    }

    #[test]
    fn training_asks_for_one_answer_a_prompt_at_every_length_alike() {
        let prompts = draw(Answer::Last, Split::Train);
        let mut counts = [0; 7];
        for i in 0..prompts.prompts {
            let (xs, ys) = prompts.get(i);
            let asked: Vec<usize> = (0..7).filter(|&k| !ys[k].is_nan()).collect();
            let &[at] = asked.as_slice() else { panic!("{ys:?}") };
            assert_eq!(xs[..=at].iter().sum::<f32>() % 2.0, ys[at]);
            counts[at] += 1;
        }
        // 2000 / 7 = 286, with a standard deviation of 16.
        assert!(counts.iter().all(|count| (206..366).contains(count)), "{counts:?}");
        let ones = prompts.xs.iter().sum::<f32>() / prompts.xs.len() as f32;
        assert!((ones - 0.5).abs() < 0.02, "{ones}");
    }
}
