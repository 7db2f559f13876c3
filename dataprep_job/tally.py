"""Adding up opened pictures: duplicates, counts per class and split, whether training makes sense at all."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from dataprep_job.agreement import say_the_same
from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.defects import Defect, DefectLog, Place
from dataprep_job.inspection import Photo
from dataprep_job.labels import Split
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
        is_counted = size in self.picture_sizes or len(self.picture_sizes) < _SIZES_COUNTED
        self.picture_sizes[size if is_counted else (0, 0)] += 1
        return split

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
