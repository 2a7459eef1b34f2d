"""Predictions of numpy and scikit-learn that the baselines of crates/eval are tested against.

    python scripts/sklearn/make_fixtures.py        (needs numpy, scikit-learn, safetensors; ten minutes)

Writes crates/eval/tests/fixtures/sklearn.safetensors. For each family of prompts F it holds `F.xs` (prompts, points,
dims), `F.ys` (prompts, points) and, under `F.BASELINE`, the prediction of every y from the points before it, 0 for the
first. The versions used are in the file's metadata.
"""

import os
import pathlib
import warnings

os.environ["OMP_NUM_THREADS"] = "1"  # thousands of tiny fits

import numpy as np
import sklearn
from safetensors.numpy import save_file
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LassoLars, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

OUT = pathlib.Path(__file__).parents[2] / "crates/eval/tests/fixtures/sklearn.safetensors"


def linear(rng, prompts, points, dims):
    xs = rng.standard_normal((prompts, points, dims))
    return xs, np.einsum("pnd,pd->pn", xs, rng.standard_normal((prompts, dims)))


def noisy_sparse(rng, prompts, points, dims):
    """Three weights, noise of 0.1, and coordinates whose scale falls from 1 to 1/10."""
    xs = rng.standard_normal((prompts, points, dims)) * np.geomspace(1, 0.1, dims)
    w = rng.standard_normal((prompts, dims))
    w[np.argsort(rng.random((prompts, dims))) >= 3] = 0
    return xs, np.einsum("pnd,pd->pn", xs, w) + 0.1 * rng.standard_normal((prompts, points))


def tree(rng, prompts, points, dims, depth=4):
    xs = rng.standard_normal((prompts, points, dims))
    ys = np.zeros((prompts, points))
    for p in range(prompts):
        tests = rng.integers(dims, size=2**depth - 1)
        leaves = rng.standard_normal(2**depth)
        for i in range(points):
            node = 0
            for _ in range(depth):
                node = 2 * node + 1 + (xs[p, i, tests[node]] > 0)
            ys[p, i] = leaves[node - (2**depth - 1)]
    return xs, ys


class OnSigns:
    """An estimator that sees the signs of x alone."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, x, y):
        self.estimator.fit(np.sign(x), y)
        return self

    def predict(self, x):
        return self.estimator.predict(np.sign(x))


class MinimumNorm:
    """Singular values below 1e-12 of the largest are rounding: see RANK_TOLERANCE in least_squares.rs."""

    def fit(self, x, y):
        self.w = np.linalg.lstsq(x, y, rcond=1e-12)[0]
        return self

    def predict(self, x):
        return x @ self.w


class ExactLasso:
    """Lasso by coordinate descent, or by least angles where that doesn't converge: with few points and a small alpha it
    still is far from the minimum after 100 000 sweeps. The conditions of the minimum are checked."""

    def __init__(self, alpha):
        self.solvers = [
            Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=100_000),
            LassoLars(alpha=alpha, fit_intercept=False, max_iter=10_000),
        ]

    def fit(self, x, y):
        self.w = next(w for s in self.solvers if self.is_minimum(x, y, w := s.fit(x, y).coef_, s.alpha))
        return self

    @staticmethod
    def is_minimum(x, y, w, alpha):
        pull = x.T @ (y - x @ w) / len(y)
        at_rest = np.where(w != 0, np.abs(pull - alpha * np.sign(w)), np.abs(pull) - alpha)
        return np.all(at_rest < 1e-9)

    def predict(self, x):
        return x @ self.w


def lasso(alpha):
    return lambda i: ExactLasso(alpha)


LINEAR = {
    "least_squares": lambda i: MinimumNorm(),
    "knn_3": lambda i: KNeighborsRegressor(n_neighbors=min(3, i)),
    "ridge_0.1": lambda i: Ridge(alpha=0.1, fit_intercept=False),
    "lasso_1": lasso(1),
    "lasso_0.1": lasso(0.1),
    "lasso_0.01": lasso(0.01),
    "lasso_0.001": lasso(0.001),
    "lasso_0.0001": lasso(0.0001),
}

PLAIN_TREES = {
    "tree_4": lambda i: DecisionTreeRegressor(max_depth=4, random_state=0),
    # XGBoost's default settings.
    "boosting_100": lambda i: HistGradientBoostingRegressor(
        max_iter=100,
        learning_rate=0.3,
        max_depth=6,
        max_leaf_nodes=None,
        min_samples_leaf=1,
        l2_regularization=1.0,
        early_stopping=False,
    ),
}
TREES = PLAIN_TREES | {
    f"{name}_signs": lambda i, make=make: OnSigns(make(i)) for name, make in PLAIN_TREES.items()
}


def each_prefix(make, xs, ys):
    predictions = np.zeros_like(ys)
    for p in range(len(xs)):
        for i in range(1, xs.shape[1]):
            predictions[p, i] = make(i).fit(xs[p, :i], ys[p, :i]).predict(xs[p, i : i + 1])[0]
    return predictions


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    rng = np.random.default_rng(0)
    tensors = {}
    families = [
        ("linear", linear(rng, 6, 41, 20), LINEAR),
        ("noisy_sparse", noisy_sparse(rng, 6, 31, 12), LINEAR),
        ("tree", tree(rng, 24, 31, 6), TREES),
    ]
    for name, (xs, ys), makers in families:
        # What the baselines see is f32; the reference computes with those values in f64.
        xs, ys = xs.astype(np.float32), ys.astype(np.float32)
        tensors |= {f"{name}.xs": xs, f"{name}.ys": ys}
        for baseline, make in makers.items():
            print(name, baseline, flush=True)
            predictions = each_prefix(make, xs.astype(np.float64), ys.astype(np.float64))
            tensors[f"{name}.{baseline}"] = predictions.astype(np.float32)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, OUT, metadata={"numpy": np.__version__, "scikit-learn": sklearn.__version__})


main()
