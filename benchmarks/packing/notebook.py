"""How fast photos become training input: our preparation against the birds notebook's way, in the same run.

The notebook writes a mirrored copy of every photo to disk and then runs mxnet's `im2rec.py --resize 256
--pack-label` with its one worker. Both sides read the same files and pack every photo and its mirrored copy
at the same size and quality; the script that mxnet's wheel ships runs inside this process, so its start and
mxnet's import are not counted. Ours is the whole job: reading annotations, checks, splits, packing, report.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec

import cv2
import numpy as np

from dataprep_job.check import cpu_count
from dataprep_job.file_source import FolderSource
from dataprep_job.prepare import Order, prepare
from dataprep_job.progress import say_nothing
from dataprep_job.storage import FolderStorage

P = ParamSpec("P")
Figure = tuple[str, float, float, bool, str]

PHOTOS = 692
LARGE_PHOTOS = 16
RESIZE = 256
LARGE_RESIZE = 512
_ROUNDS = 3


def figures() -> Iterator[Figure]:
    """Yield (name, value, goal, higher is better, explanation)."""
    with tempfile.TemporaryDirectory(prefix="bench-pack-") as folder:
        root = Path(folder)
        photos = _photos()
        kind = "CUB photos" if photos else "drawn photos of 500 x 375"
        theirs, ours = _compare(root / "small", photos or _drawn(173, 500, 375), PHOTOS, RESIZE)
        explanation = f"{PHOTOS} {kind} to {RESIZE} px with mirrored copies, {cpu_count()} CPUs"
        yield "pack.notebook_photos_per_second", theirs, 0, True, f"{explanation}; the baseline"
        yield "pack.photos_per_second", ours, 0, True, explanation
        yield "pack.times_the_notebook", ours / theirs, 5.5, True, f"{explanation}; one im2rec worker = 1"
        theirs, ours = _compare(root / "large", _drawn(LARGE_PHOTOS, 4000, 3000), LARGE_PHOTOS, LARGE_RESIZE)
        explanation = (
            f"{LARGE_PHOTOS} drawn photos of 12 megapixels to {LARGE_RESIZE} px, one im2rec worker = 1"
        )
        yield "pack.times_the_notebook_12_megapixels", ours / theirs, 10, True, explanation


def _compare(root: Path, photos: list[bytes], count: int, resize: int) -> tuple[float, float]:
    """Photos a second, the notebook's way and ours; the best of several rounds each, in turns."""
    dataset = _dataset(root / "dataset", photos, count, resize)
    theirs, ours = 0.0, 0.0
    for number in range(_ROUNDS):
        work = root / f"round-{number}"
        theirs = max(theirs, count / _seconds(_notebook, dataset, work / "notebook", resize))
        ours = max(ours, count / _seconds(_prepare, dataset, work / "ours"))
        shutil.rmtree(work)
    return theirs, ours


def _seconds(work: Callable[P, None], *args: P.args, **named: P.kwargs) -> float:
    started = time.perf_counter()
    work(*args, **named)
    return time.perf_counter() - started


def _photos() -> list[bytes]:
    shared = Path(
        os.environ.get("NESTBOX_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    )
    return [path.read_bytes() for path in sorted((shared / "cub-3-species").rglob("*.jpg"))]


def _drawn(count: int, width: int, height: int) -> list[bytes]:
    """Photos with soft shapes and some noise, so that they compress about as real ones do."""
    photos: list[bytes] = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        soft = cv2.resize(
            rng.integers(0, 255, (12, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
        )
        grain = rng.integers(-6, 7, (height, width, 1), np.int16)
        pixels = np.clip(soft + grain, 0, 255).astype(np.uint8)
        photos.append(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return photos


def _dataset(root: Path, photos: list[bytes], count: int, resize: int) -> Path:
    """A CUB dataset. Repeated photos differ behind their end: exact duplicates would be left out."""
    (root / "images").mkdir(parents=True)
    for number in range(count):
        again = f"repeat {number}".encode() if number >= len(photos) else b""
        (root / "images" / f"{number:05}.jpg").write_bytes(photos[number % len(photos)] + again)
    ids = range(count)
    texts = {
        "images.txt": "".join(f"{n} {n:05}.jpg\n" for n in ids),
        "bounding_boxes.txt": "".join(f"{n} 60.0 50.0 40.0 40.0\n" for n in ids),
        "image_class_labels.txt": "".join(f"{n} 1\n" for n in ids),
        "classes.txt": "1 bird\n",
        # Held-out photos are not mirrored by us; with one of them both sides do the same work.
        "train_test_split.txt": "".join(f"{n} {int(n > 0)}\n" for n in ids),
        "nestbox.yaml": f"images: {{resize: {resize}}}\n",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    return root


def _prepare(dataset: Path, out: Path) -> None:
    prepare(
        Order("bench-20261124000000-0000", "bench", FolderSource(dataset), FolderStorage(out)), say_nothing
    )


def _notebook(dataset: Path, work: Path, resize: int) -> None:
    """Mirror every photo on disk, write the list, run im2rec with its defaults."""
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
    arguments = ["--resize", str(resize), "--pack-label", str(work / "train"), str(images)]
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


if __name__ == "__main__":
    for name, value, goal, higher_is_better, explanation in figures():
        sign = "≥" if higher_is_better else "≤"
        print(f"{name:42} {value:10.2f}   goal {sign} {goal:g}   {explanation}")
