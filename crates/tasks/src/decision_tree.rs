//! Decision trees.

use looped_core::{ModelDims, Problems, Prompts, Request, Result, Rng, Task, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::function_class::{Function, FunctionClass, sample};
use crate::vectors::normals;

/// y is a leaf of a random full binary tree, whose nodes test the sign of one coordinate of x ~ N(0, I).
///
/// The class of arXiv 2208.01066, section 5, and arXiv 2311.12424, section 4. At each of the `depth` levels an x goes
/// right where its coordinate is above 0, else left; a node's coordinate is uniform among the first `dims`, a leaf's
/// value N(0, 1). Errors are reported undivided, since y has variance 1.
///
/// As in the published code x is not cut by the curriculum: all its n_dims coordinates are normal, whatever `dims` is.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionTree {
    /// Tests between the root and a leaf; the tree has 2^depth leaves.
    #[serde(default = "default_depth")]
    #[schemars(range(min = 0, max = 16))]
    pub depth: u32,
}

const fn default_depth() -> u32 {
    4
}

impl Default for DecisionTree {
    fn default() -> Self {
        Self { depth: default_depth() }
    }
}

#[typetag::serde(name = "decision_tree")]
impl Task for DecisionTree {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require_in(self.depth, 0..=16, "depth");
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }

    fn normaliser(&self, _: usize) -> f64 {
        1.0
    }
}

#[typetag::serde(name = "decision_tree")]
impl FunctionClass for DecisionTree {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        // Level by level from the root: the children of node i are 2i + 1 and 2i + 2, and the leaves follow the nodes.
        let leaves = 1usize << self.depth;
        let tests: Vec<usize> = (0..leaves - 1).map(|_| rng.below(dims)).collect();
        let values = normals(leaves, rng);
        Box::new(move |x| {
            let mut node = 0;
            while let Some(&coordinate) = tests.get(node) {
                node = 2 * node + 1 + usize::from(x[coordinate] > 0.0);
            }
            values[node - tests.len()]
        })
    }

    fn input_dims(&self, request: Request) -> usize {
        request.n_dims
    }
}

looped_core::register!(Task, "decision_tree", DecisionTree);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{draw, first_ys, moments_are, reports};

    /// A tree of depth 2 by hand: root 0, nodes 1 (left) and 2 (right), leaves 3 to 6.
    #[test]
    fn an_x_goes_right_where_its_coordinate_is_positive() {
        let f = DecisionTree { depth: 2 }.draw(3, &mut Rng::stream(1, "tree", 0));
        let mut rng = Rng::stream(1, "tree", 0);
        let tests = [rng.below(3), rng.below(3), rng.below(3)];
        let leaves: Vec<f64> = normals(4, &mut rng);
        for signs in 0..8u8 {
            let positive = |i: usize| signs >> i & 1 == 1;
            let x = [0, 1, 2].map(|i| if positive(i) { 0.7 } else { -0.2 });
            let leaf = match (positive(tests[0]), positive(tests[1]), positive(tests[2])) {
                (false, false, _) => 0,
                (false, true, _) => 1,
                (true, _, false) => 2,
                (true, _, true) => 3,
            };
            assert_eq!(f(&x), leaves[leaf]);
        }
    }

    #[test]
    fn tests_stay_among_the_coordinates_in_use_and_x_is_not_cut() {
        let f = DecisionTree::default().draw(2, &mut Rng::stream(2, "tree", 0));
        assert_eq!(f(&[1.0, -1.0, 5.0]), f(&[3.0, -0.1, -5.0]));
        let prompts = draw(&DecisionTree::default(), 10, 5, 2, 4);
        assert!(prompts.xs.iter().all(|&v| v != 0.0));
    }

    #[test]
    fn y_has_at_most_16_values_with_mean_0_and_variance_1() {
        moments_are(first_ys(&DecisionTree::default(), 20_000, 5), 0.0, 1.0);
        let prompt = draw(&DecisionTree::default(), 1, 500, 20, 20);
        let mut values: Vec<u32> = prompt.ys.iter().map(|y| y.to_bits()).collect();
        values.sort_unstable();
        values.dedup();
        assert!((12..=16).contains(&values.len()), "{} values", values.len());
    }

    #[test]
    fn a_tree_too_deep_is_reported() {
        assert_eq!(reports(&DecisionTree { depth: 17 }), "depth: is 17; allowed: 0 to 16");
    }
}
