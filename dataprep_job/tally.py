"""Adding up opened pictures: duplicates, counts per class and split, whether training makes sense at all."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from dataprep_job.agreement import say_the_same
from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.defects import Defect, DefectLog, Place
from dataprep_job.inspection import Photo
from dataprep_job.labels import Split
from dataprep_job.recalled import NAMED_SPLIT, RecalledPictures
from dataprep_job.recordio import label_boxes
from dataprep_job.survey import PACKING_ORDER, Survey

MAX_DEFECT_RATE = 0.2
"""Above this share of unusable pictures something went wrong with the upload itself."""

_FORMATS_READ = f"one of: {', '.join(FORMAT_TITLES.values())}"


@dataclass(slots=True)
class SplitCounts:
    """Usable pictures, their boxes by class name, and the largest number of boxes on one of them.

    `pictures`: how many of the pictures have boxes of a class, by its name.
    """

    images: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    pictures: Counter[str] = field(default_factory=Counter)
    most_boxes: int = 0


_WORDS = struct.Struct("<II")


class _DigestFilter:
    """Says of most digests that it has not met them, in fixed memory of a few megabytes (a Bloom filter)."""

    def __init__(self, bits: int) -> None:
        """`bits`: of a place in it; 25 make four megabytes, in which a million digests find room."""
        self._mask = (1 << bits) - 1
        self._met = bytearray(1 << bits - 3)

    def may_hold(self, digest: bytes) -> bool:
        """False: it was never taken in; True: it may have been, which a table knows."""
        first, second = self._bits_of(digest)
        return bool(self._met[first >> 3] >> (first & 7) & self._met[second >> 3] >> (second & 7) & 1)

    def take_in(self, digest: bytes) -> bool:
        """Take in a digest; whether it may have been taken in before."""
        is_known = self.may_hold(digest)
        for bit in self._bits_of(digest):
            self._met[bit >> 3] |= 1 << (bit & 7)
        return is_known

    def met(self, digests: Sequence[bytes]) -> list[bytes]:
        """Those of many digests that it may hold."""
        first, second = self._all_bits_of(digests)
        met = np.frombuffer(self._met, np.uint8)
        may_hold = met[first >> 3] >> (first & 7) & met[second >> 3] >> (second & 7) & 1
        return [digests[number] for number in np.flatnonzero(may_hold).tolist()]

    def take_in_all(self, digests: Sequence[bytes]) -> None:
        """Take in many digests."""
        met = np.frombuffer(self._met, np.uint8)
        for bits in self._all_bits_of(digests):
            np.bitwise_or.at(met, bits >> 3, (1 << (bits & 7)).astype(np.uint8))

    def _all_bits_of(self, digests: Sequence[bytes]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        words = np.frombuffer(b"".join([digest[: _WORDS.size] for digest in digests]), "<u4")
        words = words.reshape(-1, 2) & np.uint32(self._mask)
        return words[:, 0], words[:, 1]

    def _bits_of(self, digest: bytes) -> tuple[int, int]:
        first, second = _WORDS.unpack_from(digest)
        return first & self._mask, second & self._mask


class Tally:
    """Takes opened pictures in packing order (held-out ones first) and decides which of them are used."""

    def __init__(self, survey: Survey) -> None:
        self._classes = survey.classes
        self._log: DefectLog = survey.log
        self._survey = survey
        self._catalogue = survey.catalogue
        self._database = survey.catalogue.database
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS used (digest BLOB PRIMARY KEY, image TEXT, split TEXT, "
            "is_named INTEGER, label BLOB) WITHOUT ROWID"
        )
        self._held = _DigestFilter(22)
        # Lists of an earlier version have no digests.
        for (digest,) in self._database.execute("SELECT digest FROM held_digests WHERE length(digest) >= 8"):
            self._held.take_in(digest)
        self._digests = _DigestFilter(25)
        self._waiting: list[tuple[bytes, str, Split, bool, bytes]] = []
        self._duplicates = 0
        self.splits: dict[Split, SplitCounts] = {split: SplitCounts() for split in PACKING_ORDER}
        self.box_shares: Counter[int] = Counter()
        """Boxes by size: the class of `SHARE_CLASSES` that the square root of their share belongs to."""
        self.picture_sizes: Counter[tuple[int, int]] = Counter()
        """Pictures by displayed width and height, of the first thousand sizes met; the rest under (0, 0)."""

    def add(self, photo: Photo) -> Split | None:
        """Count one picture. Returns the split that it is used in, None where it is left out."""
        if photo.defects:
            self._log.extend(photo.defects)
        if not photo.boxes:
            return None
        plan = photo.plan
        split = plan.split
        if split == "train" and self._held.may_hold(photo.digest):
            # A picture that was held out under another name comes back: it stays held out.
            held = self._catalogue.one("SELECT split FROM held_digests WHERE digest = ?", (photo.digest,))
            if held is not None:
                split = "validation" if self._survey.validation_is_test else held
        boxes = photo.boxes
        labels = plan.labels
        if self._digests.take_in(photo.digest):
            self.flush()
            if self._catalogue.one("SELECT 1 FROM used WHERE digest = ?", (photo.digest,)) is not None:
                self._log.append(self._duplicate(photo))
                return None
        self._waiting.append((photo.digest, labels.image, split, labels.split is not None, photo.label))
        if len(self._waiting) >= _BATCH:
            self.flush()
        counts = self.splits[split]
        counts.images += 1
        counts.most_boxes = max(counts.most_boxes, len(boxes))
        width, height = size = photo.size
        area = width * height
        for class_id, (x0, y0, x1, y1) in boxes:
            counts.boxes[self._classes[class_id]] += 1
            self.box_shares[share_class((x1 - x0) * (y1 - y0) / area)] += 1
        for class_id in {class_id for class_id, _ in boxes}:
            counts.pictures[self._classes[class_id]] += 1
        self._count_size(size)
        return split

    def add_recalled(self, pictures: RecalledPictures) -> bool:
        """Count pictures that were packed before, all at once.

        Returns:
            Whether that was done; otherwise one of them is a copy, and they have to be counted one by one.
        """
        digests, split = pictures.digests, pictures.split
        if split == "train" and self._are_any_in("held_digests", self._held.met(digests)):
            return False
        met = self._digests.met(digests)
        if met:
            self.flush()
        if self._are_any_in("used", met) or len(set(digests)) < len(digests):
            return False
        self._digests.take_in_all(digests)
        is_named = [row[NAMED_SPLIT] is not None for row in pictures.rows]
        rows = zip(digests, pictures.paths, repeat(split), is_named, pictures.labels, strict=False)
        self._waiting.extend(rows)
        if len(self._waiting) >= _BATCH:
            self.flush()
        self._count(pictures)
        return True

    def _are_any_in(self, table: str, digests: Iterable[bytes]) -> bool:
        query = f"SELECT 1 FROM {table} WHERE digest = ?"  # noqa: S608
        return any(self._catalogue.one(query, (digest,)) is not None for digest in digests)

    def _count(self, pictures: RecalledPictures) -> None:
        counts, names = self.splits[pictures.split], self._classes
        counts.images += len(pictures)
        counts.most_boxes = max(counts.most_boxes, int(pictures.box_counts.max()))
        owners, class_ids, edges = pictures.owners, pictures.class_ids, pictures.edges
        for class_id, count in enumerate(np.bincount(class_ids).tolist()):
            if count:
                counts.boxes[names[class_id]] += count
        # A picture counts once for a class, however many boxes of it are there.
        once = np.unique(owners * len(names) + class_ids) % len(names)
        for class_id, count in enumerate(np.bincount(once).tolist()):
            if count:
                counts.pictures[names[class_id]] += count
        areas = (pictures.widths * pictures.heights)[owners]
        shares = np.sqrt((edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1]) / areas)
        for number, count in enumerate(np.bincount(np.searchsorted(SHARE_CLASSES, shares)).tolist()):
            if count:
                self.box_shares[number] += count
        sizes = Counter(zip(pictures.widths.tolist(), pictures.heights.tolist(), strict=True))
        for size, count in sizes.items():
            self._count_size(size, count)

    def _count_size(self, size: tuple[int, int], count: int = 1) -> None:
        is_counted = size in self.picture_sizes or len(self.picture_sizes) < _SIZES_COUNTED
        self.picture_sizes[size if is_counted else (0, 0)] += count

    def flush(self) -> None:
        """Write the used pictures that wait to the table `used`."""
        self._database.executemany("INSERT INTO used VALUES (?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()

    @property
    def images(self) -> int:
        """Usable pictures of all splits."""
        return sum(counts.images for counts in self.splits.values())

    @property
    def most_boxes(self) -> int:
        """The largest number of boxes on one usable picture of any split."""
        return max(counts.most_boxes for counts in self.splits.values())

    def class_boxes(self) -> dict[str, int]:
        """Usable boxes of every class, in id order."""
        return {name: sum(counts.boxes[name] for counts in self.splits.values()) for name in self._classes}

    def finish(self) -> list[str]:
        """Note what only the whole shows, and return why no training is possible; empty: it is."""
        self.flush()
        for name, boxes in self.class_boxes().items():
            if boxes == 0:
                continue
            has = f"{name!r} has {boxes:,} {'box' if boxes == 1 else 'boxes'}, none"
            if not self.splits["train"].boxes[name]:
                message = f"{has} in the train split."
                self._log.add("class.not-in-train", Place(""), message)
            if not self.splits["validation"].boxes[name]:
                message = f"{has} in the validation split."
                self._log.add("class.not-in-validation", Place(""), message)
        return self._reasons()

    def _reasons(self) -> list[str]:
        survey = self._survey
        if not survey.formats:
            if not survey.files:
                return ["The dataset is empty: upload pictures and their annotations."]
            found = f"No annotations were recognised among {survey.files:,} files."
            return [f"{found} Upload them as {_FORMATS_READ}."]
        reasons: list[str] = []
        unusable = survey.labelled - self.images - self._duplicates
        if survey.labelled and unusable > MAX_DEFECT_RATE * survey.labelled:
            share = f"{unusable / survey.labelled:.0%}, more than {MAX_DEFECT_RATE:.0%}"
            reasons.append(
                f"{unusable:,} of {survey.labelled:,} annotated pictures cannot be used ({share}): "
                "something is wrong with the upload. See the defects."
            )
        if not any(self.class_boxes().values()):
            reasons.append("No class is left: not one box can be used. See the defects.")
            return reasons
        empty = [split for split in _MEND_EMPTY if not self.splits[split].images]
        return reasons + [f"The {split} split is empty: {_MEND_EMPTY[split]}" for split in empty]

    def _duplicate(self, photo: Photo) -> Defect:
        self._duplicates += 1
        other, split, is_named, label = self._database.execute(
            "SELECT image, split, is_named, label FROM used WHERE digest = ?", (photo.digest,)
        ).fetchone()
        place = Place(photo.plan.labels.image)
        size = photo.width, photo.height
        if not say_the_same(label_boxes(label, *size), label_boxes(photo.label, *size)):
            message = f"The same picture as {other}, but labelled differently; only {other} is used."
            return Defect("labels.conflict", place, message, images=(place.file, other))
        if photo.plan.split != split and photo.plan.labels.split and is_named:
            message = f"The same picture as {other}, which is in the {split} split; only that one is used."
            return Defect("image.duplicate-across-splits", place, message, images=(place.file, other))
        message = f"The same picture as {other}; only that one is used."
        return Defect("image.duplicate", place, message, images=(place.file, other))


_MEND_EMPTY: Mapping[Split, str] = {
    "train": "add labelled pictures, or name some for training.",
    "validation": "add labelled pictures (at least two are needed), or name some for validation.",
}


SHARE_CLASSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Upper ends of the classes of box sizes: the square root of a box's share of its picture's area."""
_SIZES_COUNTED = 1000
_BATCH = 500


def share_class(share: float) -> int:
    """The index of the class that a box belongs to; the last one is open."""
    return bisect_left(SHARE_CLASSES, math.sqrt(share))
