"""What the pages of results say, recomputed from the JSON that is committed beside them: a module for each page."""

import sys
from pathlib import Path

# Where seeds.py and figures.py are.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "experiments/loops"))
