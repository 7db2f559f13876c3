"""``python -m benchmarks PART``: measure one part; exit 1 when a figure is short of its goal."""

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks.figures import Figure, report

PARTS = {
    "pack": "our packing against the notebook's way, in one run",
    "speed": "the detector's training and serving against bare compute",
    "accuracy": "what the detector learns in minutes, and what a champion saves",
    "rules": "what the rules choose against a hand-tuned run, on datasets of yours",
    "peer": "the detector against GluonCV's SSD on the same records",
    "api": "what the /detect handler adds to the model's answer",
    "evaluation": "seconds that judging two models takes",
    "runs": "what orchestration adds to the work of a run",
}


def main() -> int:
    """Run one part's ``figures()`` and print each as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", choices=PARTS, help="; ".join(f"{k}: {v}" for k, v in PARTS.items()))
    part = parser.parse_args().part
    module = importlib.import_module(f"benchmarks.bench_{part}")
    return 0 if report(Figure(*row) for row in module.figures()) else 1


if __name__ == "__main__":
    sys.exit(main())
