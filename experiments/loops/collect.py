#!/usr/bin/env python3
"""Prints as JSON what experiments/loops/results keeps of each run: its errors, its cost and what the laboratory found.

    experiments/loops/collect.py runs/loops_time/runs/* > experiments/loops/results/runs.json

The runs' variants are the keys of the first level, their seeds of the second. Of a run:

    per_loop    squared error / d with the most examples after each loop, as far as the evaluation at its end went
    cpu_seconds of the training
    validation  [step, loss] for each validation
    stability   from `looped stability RUN --save`, if it was run
    match       from `looped match RUN --save`, if it was run: for each solver and loop the best step by SimW and by SimE
    exits       from `looped exits RUN --save`, if it was run: the error after each loop, the oracle's, and of each rule its mean loops, its
                error and that of its exits at random, where it takes nearest to 2, 3, ... loops on the mean
    ood         from `looped eval RUN --suite ood --save`, if it was run: squared error / d with the most examples on each kind of prompts
    notes       what the training noted at its last logged step, if anything
"""

import json
import sys
import tomllib
from pathlib import Path


def rounded(value):
    """To six digits, which is more than any interval here leaves certain."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(each) for each in value]
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return value


def stability(found):
    jacobian, thinking = found["jacobian"], found["overthinking"]
    return {
        "loops": found["loops"],
        "prompts": found["prompts"],
        "verdict": found["verdict"]["verdict"],
        "shares": found["verdict"]["shares"],
        "last_step": found["relative_step"]["median"][-1],
        "spectral_radius": jacobian["spectral_radius"]["mean"],
        "lyapunov": jacobian["exponents"][0]["mean"],
        "alignment": found["alignment"]["from_another"]["mean"][0],
        "alignment_of_others": found["alignment"]["of_others"]["mean"][0],
        "last_against_best": thinking["ratio"],
    }


def match(found):
    kinds = {each["measure"]: each for each in found["agreements"]}
    solvers = found["solvers"]

    def of(kind, what):
        return {name: [loop[i][what] for loop in kinds[kind]["best"]] for i, name in enumerate(solvers)}

    return {
        "prompts": found["prompts"],
        "condition": found["condition"],
        "steps": found["steps"],
        "error": found["error"]["mean"],
        "linear": found["linear"]["mean"],
        "closest": [solvers[each["solver"]] for each in kinds["weights"]["closest"]],
        "simw_step": of("weights", "step"),
        "simw": of("weights", "value"),
        "sime_step": of("errors", "step"),
        "sime": of("errors", "value"),
    }


def exits(found):
    def nearest(front, loops):
        i = min(range(len(front["mean_loops"])), key=lambda i: abs(front["mean_loops"][i] - loops))
        return [front["mean_loops"][i], front["error"]["mean"][i], front["random"][i]]

    return {
        "prompts": found["prompts"],
        "fixed": found["fixed"]["mean"],
        "oracle": [found["oracle_loops"], found["oracle"]["mean"][0]],
        "rules": {rule["name"]: [nearest(rule["front"], loops) for loops in range(2, found["loops"])] for rule in found["rules"]},
    }


def ood(found):
    shifts = {"as in training": found["standard"]} | {shift["name"]: shift for shift in found["shifts"]}
    return {name: shift["curves"]["model"]["mean"][-1] for name, shift in shifts.items()}


def of_run(run):
    scored = json.loads((run / "eval.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = {
        "per_loop": scored["per_loop"]["mean"],
        "cpu_seconds": sum(line["cpu_seconds"] for line in lines),
        "validation": [
            [line["step"], line["validation_loss_last_stage"]] for line in lines if "validation_loss_last_stage" in line
        ],
    }
    suite = run / "eval_ood.json"
    if suite.exists():
        kept["ood"] = ood(json.loads(suite.read_text()))
    if "notes" in lines[-1]:
        kept["notes"] = lines[-1]["notes"]
    for name, summary in {"stability": stability, "match": match, "exits": exits}.items():
        place = run / "lab" / f"{name}.json"
        if place.exists():
            kept[name] = summary(json.loads(place.read_text()))
    return kept


def main():
    variants = {}
    for run in map(Path, sys.argv[1:]):
        config = tomllib.loads((run / "config.toml").read_text())
        variants.setdefault(config["name"], {})[str(config["seed"])] = rounded(of_run(run))
    # A line a run, so that a change to one is a change of one line.
    blocks = []
    for variant, seeds in variants.items():
        in_order = sorted(seeds.items(), key=lambda item: int(item[0]))
        runs = ",\n".join(f"  {json.dumps(seed)}: {json.dumps(kept)}" for seed, kept in in_order)
        blocks.append(f"{json.dumps(variant)}: {{\n{runs}\n }}")
    print("{\n " + ",\n ".join(blocks) + "\n}")


if __name__ == "__main__":
    main()
