"""The datasets that accuracy is measured on, packed by `nestbox pack` into the channels of a training job.

No test split takes part in training: where a dataset has no split of its own for choosing the best epoch, no
epoch is chosen and the last one counts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nestbox_command import nestbox
from benchmarks.shared_data import SHARED_DATA

_ONE_CLASS = """classes:
  rename:
    001.Black_footed_Albatross: bird
    004.Groove_billed_Ani: bird
    007.Parakeet_Auklet: bird
"""


@dataclass(frozen=True)
class Packed:
    """A packed dataset.

    choose: what the training job validates on. test: what the figure is measured on; the same file where the
    last epoch counts. Each is one .rec file.
    """

    train: Path
    choose: Path
    test: Path
    classes: tuple[str, ...]

    @property
    def last_epoch_counts(self) -> bool:
        """Whether the job validates on the test split, so that it must not choose an epoch by it."""
        return self.choose == self.test


@dataclass(frozen=True)
class Dataset:
    """A dataset, for how long it is trained, and the goals of mAP@0.5 and COCO AP on its test split."""

    name: str
    minutes: float
    goal: float
    coco_goal: float | None
    pack: Callable[[Path], Packed]


def datasets() -> tuple[Dataset, ...]:
    """Return the datasets of the figures, without those whose files are not on this machine."""
    real = (
        Dataset("CUB, one class", 2, 0.93, None, _cub_as_one_class),
        Dataset("CUB, three species", 3, 0.92, None, _cub),
        Dataset("BCCD", 3, 0.91, 0.60, _bccd),
    )
    return (*(real if SHARED_DATA.is_dir() else ()), Dataset("drawn birds", 1, 0.95, None, _drawn))


def grown(folder: Path) -> tuple[Packed, Packed]:
    """Pack a drawn dataset, and the same with a fifth more pictures, which keeps what was held out."""
    nestbox("sample", folder / "birds", "--images", 250)
    nestbox("sample", folder / "grown", "--images", 300)
    before = _packed(folder / "birds", folder / "before", validation="validation", test="validation")
    after = _packed(
        folder / "grown",
        folder / "after",
        "--previous",
        before.train.parent,
        validation="validation",
        test="validation",
    )
    return before, after


def packed_whole(source: Path, folder: Path) -> Packed:
    """Pack a dataset whose held-out pictures are its test split, so that the last epoch counts."""
    return _packed(source, folder / "packed", validation="validation", test="validation")


def _cub(folder: Path) -> Packed:
    return packed_whole(SHARED_DATA / "cub-3-species", folder)


def _cub_as_one_class(folder: Path) -> Packed:
    named = folder / "bird"
    # Links would lead out of the dataset, and are refused.
    shutil.copytree(SHARED_DATA / "cub-3-species", named)
    (named / "nestbox.yaml").write_text(_ONE_CLASS, encoding="utf-8")
    return packed_whole(named, folder)


def _bccd(folder: Path) -> Packed:
    return _packed(SHARED_DATA / "bccd", folder / "packed", validation="validation", test="test")


def _drawn(folder: Path) -> Packed:
    nestbox("sample", folder / "birds", "--images", 240)
    packed = _packed(folder / "birds", folder / "packed", validation="validation", test="validation")
    return Packed(packed.train, packed.choose, unseen_birds(folder), packed.classes)


def unseen_birds(folder: Path) -> Path:
    """Draw birds that are in no sample of the default seed, and pack them into one .rec file."""
    nestbox("sample", folder / "more", "--images", 250, "--seed", 1907)
    return _packed(folder / "more", folder / "unseen", "--no-flip", validation="train", test="train").test


def _packed(source: Path, to: Path, *options: object, validation: str, test: str) -> Packed:
    nestbox("pack", source, to, *options)
    classes = json.loads((to / "classes.json").read_text(encoding="utf-8"))
    return Packed(to / "train.rec", to / f"{validation}.rec", to / f"{test}.rec", tuple(classes))
