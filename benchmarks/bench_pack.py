"""Data preparation: speed against the notebook's way, packing again, reading, memory, and on the local AWS.

The notebook writes a mirrored copy of every photo to disk and then runs mxnet's `im2rec.py --resize 256
--pack-label`. Both sides read the same files and pack every photo and its mirrored copy at the same size and
quality; the script that mxnet's wheel ships runs inside this process, so its start and mxnet's import are not
counted. Ours is always the whole job: reading annotations, checks, splits, packing, report.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.packing import again, memory, notebook, on_aws, reading
from benchmarks.packing.datasets import Figure


def figures() -> Iterator[Figure]:
    """Yield (name, value, goal, higher is better, explanation)."""
    for part in (notebook, again, reading, on_aws, memory):
        with tempfile.TemporaryDirectory(prefix="bench-pack-") as folder:
            yield from part.figures(Path(folder) / "work")
