"""How fast photos become training input: our preparation against the birds notebook's way, in the same run.

The notebook writes a mirrored copy of every photo to disk and then runs mxnet's `im2rec.py --resize 256
--pack-label` with its one worker. Both sides read the same files and pack every photo and its mirrored copy
at the same size and quality; the script that mxnet's wheel ships runs inside this process, so its start and
mxnet's import are not counted. Ours is the whole job: reading annotations, checks, splits, packing, report.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.packing.datasets import (
    Figure,
    cub_dataset,
    drawn_photos,
    has_cub_photos,
    pack,
    seconds,
    small_photos,
)
from dataprep_job.check import cpu_count

PHOTOS = 692
LARGE_PHOTOS = 16
RESIZE = 256
LARGE_RESIZE = 512
_ROUNDS = 3


def figures(root: Path) -> Iterator[Figure]:
    """Packing speed against the notebook as written and against im2rec's best setting."""
    kind = "CUB photos" if has_cub_photos() else "drawn photos of 500 x 375"
    yield from _compare(root / "small", small_photos(), PHOTOS, RESIZE, kind, "", (5.5, 4.5))
    yield from _compare(
        root / "large",
        drawn_photos(LARGE_PHOTOS, 4000, 3000),
        LARGE_PHOTOS,
        LARGE_RESIZE,
        "drawn photos of 12 megapixels",
        "_12_megapixels",
        (18, 0),
    )


def _compare(
    root: Path,
    photos: list[bytes],
    count: int,
    resize: int,
    kind: str,
    suffix: str,
    goals: tuple[float, float],
) -> Iterator[Figure]:
    """Photos a second, each way; the best of several rounds each, in turns."""
    dataset = cub_dataset(root / "dataset", photos, count, resize)
    one = two = ours = 0.0
    for number in range(_ROUNDS):
        work = root / f"round-{number}"
        one = max(one, count / seconds(_notebook, dataset, work / "one", resize, 1))
        two = max(two, count / seconds(_notebook, dataset, work / "two", resize, 2))
        ours = max(ours, count / seconds(pack, dataset, work / "ours"))
        shutil.rmtree(work)
    text = f"{count} {kind} to {resize} px with mirrored copies, {cpu_count()} CPUs"
    yield f"pack.notebook_photos_per_second{suffix}", one, 0, True, f"{text}; the baseline"
    yield f"pack.photos_per_second{suffix}", ours, 0, True, text
    yield f"pack.times_the_notebook{suffix}", ours / one, goals[0], True, f"{text}; one im2rec worker = 1"
    yield f"pack.times_im2rec_at_best{suffix}", ours / max(one, two), goals[1], True, f"{text}; its best = 1"


def _notebook(dataset: Path, work: Path, resize: int, workers: int) -> None:
    """Mirror every photo on disk, write the list, run im2rec with so many workers (1: its default)."""
    cv2.setNumThreads(-1)  # OpenCV's own choice; our side sets it to one
    images = work / "images"
    images.mkdir(parents=True)
    rows: list[str] = []
    for number, path in enumerate(sorted((dataset / "images").iterdir())):
        shutil.copyfile(path, images / path.name)
        photo = cv2.imread(str(path))
        height, width = photo.shape[:2]
        cv2.imwrite(str(images / f"flip-{path.name}"), cv2.flip(photo, 1))
        x0, y0, x1, y1 = 60 / width, 50 / height, 100 / width, 90 / height
        rows.append(f"{2 * number}\t2\t5\t0\t{x0}\t{y0}\t{x1}\t{y1}\t{path.name}\n")
        rows.append(f"{2 * number + 1}\t2\t5\t0\t{1 - x1}\t{y0}\t{1 - x0}\t{y1}\tflip-{path.name}\n")
    (work / "train.lst").write_text("".join(rows))
    arguments = [
        "--resize",
        str(resize),
        "--num-thread",
        str(workers),
        "--pack-label",
        str(work / "train"),
        str(images),
    ]
    with _arguments(["im2rec.py", *arguments]), contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(_im2rec()), run_name="__main__")


def _im2rec() -> Path:
    np.bool = bool  # type: ignore[attr-defined]  # mxnet 1.9.1 still asks numpy for it
    import mxnet

    return Path(mxnet.__file__).parent / "tools" / "im2rec.py"


@contextlib.contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = arguments
    try:
        yield
    finally:
        sys.argv = before
