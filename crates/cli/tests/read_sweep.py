"""Prints what TensorBoard reads in a folder of runs: a line `RUN STEP,STEP,... SCORE` for each run's loss and final score.

    pip install tensorboard
    python read_sweep.py SWEEP
"""

import sys

from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer


def main(folder):
    events = EventMultiplexer(size_guidance={"scalars": 0}).AddRunsFromDirectory(folder)
    events.Reload()
    for run, tags in sorted(events.Runs().items()):
        losses = [tag for tag in tags["scalars"] if tag.split("/")[-1] == "loss"]
        steps = [scalar.step for scalar in events.Scalars(run, losses[0])]
        (score,) = events.Scalars(run, "evaluation/model")
        print(run, ",".join(map(str, steps)), score.value)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
