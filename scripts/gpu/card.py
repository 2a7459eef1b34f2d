"""What a figure was measured on: the card, its driver, the libraries, the date."""

import datetime
import subprocess
import sys


def card():
    import torch

    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        name = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        name = ""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "card": name or "no NVIDIA card",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": sys.version.split()[0],
    }


if __name__ == "__main__":
    print("; ".join(f"{key} {value}" for key, value in card().items()))
