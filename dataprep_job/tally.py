"""Adding up opened pictures: duplicates, counts per class and split, whether training makes sense at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from dataprep_job.defects import Defect, DefectLog, Place
from dataprep_job.held_out import HeldOut
from dataprep_job.inspection import ImageBox, Photo
from dataprep_job.labels import Split
from dataprep_job.survey import PACKING_ORDER, PlannedImage, Survey

MAX_DEFECT_RATE = 0.2
"""Above this share of unusable pictures something went wrong with the upload itself."""

_FORMATS_READ = "Pascal VOC (one XML file a picture) or CUB-200-2011 (images.txt, bounding_boxes.txt, …)"


@dataclass(slots=True)
class SplitCounts:
    """Usable pictures, their boxes by class name, and the largest number of boxes on one of them."""

    images: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    most_boxes: int = 0


class Tally:
    """Takes opened pictures in packing order (held-out ones first) and decides which of them are used."""

    def __init__(self, survey: Survey, earlier: HeldOut) -> None:
        self._classes = survey.classes
        self._log: DefectLog = survey.log
        self._survey = survey
        self._earlier = earlier
        self._duplicates = 0
        self._seen: dict[bytes, tuple[PlannedImage, Split, tuple[ImageBox, ...]]] = {}
        self.splits: dict[Split, SplitCounts] = {split: SplitCounts() for split in PACKING_ORDER}

    def add(self, photo: Photo) -> Split | None:
        """Count one picture. Returns the split that it is used in, None where it is left out."""
        self._log.extend(photo.defects)
        if not photo.boxes:
            return None
        twin = self._seen.get(photo.digest)
        if twin is not None:
            self._log.append(self._duplicate(photo, *twin))
            return None
        split = photo.plan.split
        if split == "train":
            # A picture that was held out under another name comes back: it stays held out.
            held = self._earlier.digests.get(photo.digest)
            if held is not None:
                split = "validation" if self._survey.validation_is_test else held
        self._seen[photo.digest] = (photo.plan, split, photo.boxes)
        counts = self.splits[split]
        counts.images += 1
        counts.boxes.update(self._classes[box.class_id] for box in photo.boxes)
        counts.most_boxes = max(counts.most_boxes, len(photo.boxes))
        return split

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
        for name, boxes in self.class_boxes().items():
            if boxes == 0:
                continue
            if not self.splits["train"].boxes[name]:
                message = f"{name!r} has {boxes:,} boxes, none of them in the train split."
                self._log.add("class.not-in-train", Place(""), message)
            if not self.splits["validation"].boxes[name]:
                message = f"{name!r} has {boxes:,} boxes, none of them in the validation split."
                self._log.add("class.not-in-validation", Place(""), message)
        return self._reasons()

    def _reasons(self) -> list[str]:
        survey = self._survey
        if not survey.formats:
            if not survey.source.files():
                return ["The dataset is empty: upload pictures and their annotations."]
            files = len(survey.source.files())
            return [f"No annotations were recognised among {files:,} files. Upload them as {_FORMATS_READ}."]
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

    def _duplicate(
        self, photo: Photo, twin: PlannedImage, twin_split: Split, twin_boxes: tuple[ImageBox, ...]
    ) -> Defect:
        self._duplicates += 1
        place = Place(photo.plan.labels.image)
        other = twin.labels.image
        if not _same_boxes(photo.boxes, twin_boxes):
            message = f"The same picture as {other}, but labelled differently; only {other} is used."
            return Defect("labels.conflict", place, message)
        if photo.plan.split != twin_split and photo.plan.labels.split and twin.labels.split:
            message = (
                f"The same picture as {other}, which is in the {twin_split} split; only that one is used."
            )
            return Defect("image.duplicate-across-splits", place, message)
        return Defect("image.duplicate", place, f"The same picture as {other}; only that one is used.")


_MEND_EMPTY: Mapping[Split, str] = {
    "train": "add labelled pictures, or name some for training.",
    "validation": "add labelled pictures (at least two are needed), or name some for validation.",
}


def _same_boxes(one: tuple[ImageBox, ...], other: tuple[ImageBox, ...]) -> bool:
    return sorted((box.class_id, *box.edges) for box in one) == sorted(
        (box.class_id, *box.edges) for box in other
    )
