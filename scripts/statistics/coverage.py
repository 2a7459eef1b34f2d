#!/usr/bin/env python3
"""How often four 90 % intervals of a ratio of errors hold the true ratio, for docs/statistics.md.

    /tmp/venv/bin/python scripts/statistics/coverage.py          (numpy and scipy; half a minute)

Errors are lognormal: of a seed, which all variants share (0.3); of a run (0.2); of a prompt, which all runs share (1, times
a chi-square of one degree of freedom); of what a variant makes of a prompt (0.3), and of what a run makes of it (0.3). The
true ratio of two variants is 1.
"""

import numpy as np
from scipy import stats

RESAMPLES, TRIALS = 200, 400


def errors(rng, variants, seeds, prompts):
    """Logarithms of the mean error of each run: on all prompts first, then on resamples: (variants, seeds, 1 + B)."""
    run = rng.normal(0, 0.3, seeds) + rng.normal(0, 0.2, (variants, seeds))
    shared = rng.normal(0, 1, prompts) + np.log(rng.chisquare(1, prompts))
    own = rng.normal(0, 0.3, (variants, 1, prompts)) + rng.normal(0, 0.3, (variants, seeds, prompts))
    scores = np.exp(run[..., None] + shared + own)
    weights = rng.multinomial(prompts, np.ones(prompts) / prompts, RESAMPLES) / prompts
    return np.log(np.concatenate([scores.mean(2)[..., None], np.einsum("vsp,bp->vsb", scores, weights)], 2))


def holds(centres, errors, dof):
    """Whether 0 is inside the 90 % interval of a mixture of t distributions."""
    return 0.05 <= stats.t.cdf(-centres / errors, dof).mean() <= 0.95


def trial(rng, variants, seeds, prompts):
    logs = errors(rng, variants, seeds, prompts)
    ratio = logs[1] - logs[0]
    means, own = ratio.mean(0), ratio.std(0, ddof=1) / np.sqrt(seeds)
    drawn = rng.integers(0, seeds, (RESAMPLES, seeds))
    low, high = np.quantile(np.take_along_axis(ratio[:, 1:].T, drawn, 1).mean(1), [0.05, 0.95])
    residual = logs - logs.mean(0) - logs.mean(1, keepdims=True) + logs.mean((0, 1))
    dof = (variants - 1) * (seeds - 1)
    pooled = np.sqrt((residual**2).sum((0, 1)) / dof * 2 / seeds)
    return [low <= 0 <= high, holds(means[:1], own[:1], seeds - 1), holds(means[1:], own[1:], seeds - 1),
            holds(means[1:], pooled[1:], dof)]


def main():
    rng = np.random.default_rng(1)
    print("variants seeds prompts  both resampled  t, prompts fixed  t and prompts  pooled t and prompts")
    for variants, seeds, prompts in [(5, 3, 1280), (5, 5, 1280), (5, 10, 1280), (5, 3, 100), (5, 10, 100)]:
        found = np.mean([trial(rng, variants, seeds, prompts) for _ in range(TRIALS)], 0)
        print(f"{variants:8} {seeds:5} {prompts:7}" + "".join(f"{100 * share:16.0f}" for share in found))


if __name__ == "__main__":
    main()
