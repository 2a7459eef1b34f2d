#!/usr/bin/env python3
"""What scipy and statsmodels say about some comparisons, for the tests of `crates/study/src/statistics`.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scipy==1.17.1 statsmodels==0.15.0
    /tmp/venv/bin/python scripts/statistics/make_fixtures.py

Writes crates/study/tests/fixtures/statistics.json. The errors of the sweep are those of experiments/study/results/a_last_n,
at 10 in-context examples.
"""

import json
import re
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (0.05, 0.95)


def sweep():
    """The errors of each variant's seeds, in the order of the sweep file."""
    folder = ROOT / "experiments/study/results/a_last_n"
    variants = json.loads((folder / "comparison.json").read_text())["variants"]
    order = [variant["name"].replace(" ", "-") for variant in variants]
    runs = []
    for path in sorted(folder.glob("runs/*/eval.json")):
        name, seed = re.fullmatch(r"(.*)-seed(\d+)", path.parent.name).groups()
        error = json.loads(path.read_text())["curves"]["model"]["mean"][10]
        runs.append({"variant": order.index(name), "seed": int(seed), "error": error})
    return runs


def two_way(runs):
    """Each variant's log error above the first one's: ordinary least squares on variant and seed."""
    variants = sorted({run["variant"] for run in runs})
    seeds = sorted({run["seed"] for run in runs})
    design = np.array([
        [1.0] + [run["variant"] == v for v in variants[1:]] + [run["seed"] == s for s in seeds[1:]] for run in runs
    ], dtype=float)
    fit = sm.OLS(np.log([run["error"] for run in runs]), design).fit()
    low, high = fit.conf_int(alpha=0.1).T
    rows = range(1, len(variants))
    p = [fit.pvalues[i] for i in rows]
    return {
        "runs": runs,
        "freedom": fit.df_resid,
        "contrasts": [
            {"variant": variants[i], "difference": fit.params[i], "error": fit.bse[i], "low": low[i], "high": high[i],
             "p": fit.pvalues[i], "p_holm": holm}
            for i, holm in zip(rows, multipletests(p, method="holm")[1])
        ],
    }


def pairs(runs):
    """Two variants: paired by seed, and as though they shared none."""
    a, b = (np.log([run["error"] for run in runs if run["variant"] == v]) for v in (0, 1))
    paired, welch = stats.ttest_rel(b, a), stats.ttest_ind(b, a, equal_var=False)
    ends = lambda test: dict(zip(("low", "high"), map(float, test.confidence_interval(0.9))))
    return {"runs": [run for run in runs if run["variant"] < 2],
            "paired": {"p": paired.pvalue, **ends(paired)}, "welch": {"p": welch.pvalue, **ends(welch)}}


def mixture(rng):
    """Two variants of four seeds with 60 resamples of the prompts: quantiles and a tail of the mixture of t's."""
    centres = rng.normal(0.3, 0.05, 61)
    seeds = rng.normal(0, 0.2, 4)
    logs = np.stack([np.repeat(seeds[:, None], 61, 1) + rng.normal(0, 0.1, (4, 1)) + rng.normal(0, 0.01, (4, 61)) + up
                     for up in (0, centres)])
    difference = logs[1] - logs[0]
    parts = [(d.mean(), d.std(ddof=1) / 2) for d in difference.T]
    below = lambda x: np.mean([stats.t.cdf((x - m) / s, 3) for m, s in parts[1:]])
    low, high = (optimize.brentq(lambda x: below(x) - level, -9, 9, xtol=1e-13) for level in LEVELS)
    runs = [{"variant": v, "seed": s, "errors": np.exp(logs[v, s]).tolist()} for v in range(2) for s in range(4)]
    return {"runs": runs, "estimate": parts[0][0], "low": low, "high": high, "below_0": below(0.0)}


def seeds_to_show(ratio, sd, variants):
    """By the noncentral t: exact, where the program's rule adds two quantiles."""
    def power(n):
        freedom = (variants - 1) * (n - 1)
        shift, most = np.log(ratio) / (sd * np.sqrt(2 / n)), stats.t.ppf(0.975, freedom)
        return stats.nct.sf(most, freedom, shift) + stats.nct.cdf(-most, freedom, shift)
    return next(n for n in range(2, 2000) if power(n) >= 0.8)


def main():
    rng = np.random.default_rng(7)
    runs = sweep()
    holes = [run for i, run in enumerate(runs) if i not in (4, 11, 23)]
    p = [0.01, 0.04, 0.03, 0.005, 0.8, 0.04]
    fixtures = {
        "quantiles": [{"level": level, "freedom": freedom, "value": stats.t.ppf(level, freedom)}
                      for freedom in (1, 2, 3, 7, 16, 30, 31, 200) for level in (0.05, 0.1, 0.8, 0.95, 0.975, 0.9995)],
        "holm": {"p": p, "corrected": multipletests(p, method="holm")[1].tolist()},
        "sweep": two_way(runs),
        "sweep_with_holes": two_way(holes),
        "pair": pairs(runs),
        "mixture": mixture(rng),
        "power": [{"ratio": ratio, "sd": sd, "variants": variants, "seeds": seeds_to_show(ratio, sd, variants)}
                  for variants in (2, 3, 9) for sd in (0.1, 0.18, 0.3) for ratio in (1.1, 1.25, 1.5)],
    }
    place = ROOT / "crates/study/tests/fixtures/statistics.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(fixtures, indent=1) + "\n")


if __name__ == "__main__":
    main()
