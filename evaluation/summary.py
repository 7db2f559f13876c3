"""Everything about one model on one set of pictures: of each class and in total, for people and programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluation.boxes import Floats, Found, Integers, Truth
from evaluation.coco import CocoScore, mean, mean_score, score_as_coco
from evaluation.confusion import confusion_matrix
from evaluation.curve import Curve, curves
from evaluation.errors import EvaluationError
from evaluation.matching import VocMatches, match_as_voc, show
from evaluation.operating import OperatingPoint, operating_points

OVERLAP = 0.5
"""From which overlap on a detection has found a box: in mAP@0.5, at thresholds, in the confusion matrix."""


@dataclass(frozen=True)
class ClassScore:
    """One class. What needs boxes is None where there are none to find.

    ap: average precision at `Summary.overlap`, all points; ap_11: by VOC 2007's eleven points; both by Pascal
    VOC's matching. mean_overlap: of correct detections at the operating point, None where there are none.
    """

    name: str
    boxes: int
    detections: int
    ap: float | None
    ap_11: float | None
    coco: CocoScore
    operating: OperatingPoint
    mean_overlap: float | None
    curve: Curve


@dataclass(frozen=True)
class Summary:
    """One model on one set of pictures; means are over the classes that have boxes.

    map: mAP@0.5 (if `overlap` is 0.5), all points, the number that epochs and gates go by. confusion: see
    `evaluation.confusion`. unusable: rows that were no detection.
    """

    overlap: float
    pictures: int
    boxes: int
    detections: int
    unusable: int
    map: float
    map_11: float
    coco: CocoScore
    mean_overlap: float | None
    classes: tuple[ClassScore, ...]
    confusion: Integers

    @property
    def thresholds(self) -> list[float]:
        """Return the operating threshold of each class, in id order."""
        return [one.operating.threshold for one in self.classes]

    def to_json(self, points: int = 200) -> dict[str, Any]:
        """Return plain values for a JSON document; curves have at most `points` points (0: none)."""
        classes = []
        for one in self.classes:
            values = {name: getattr(one, name) for name in ("name", "boxes", "detections", "ap", "ap_11")}
            values |= {
                "mean_overlap": one.mean_overlap,
                "coco": asdict(one.coco),
                "operating": asdict(one.operating),
                "curve": one.curve.points(points),
            }
            classes.append(values)
        totals = ("overlap", "pictures", "boxes", "detections", "unusable", "map", "map_11", "mean_overlap")
        return {
            **{name: getattr(self, name) for name in totals},
            "coco": asdict(self.coco),
            "classes": classes,
            "confusion": {
                "labels": [*(one.name for one in self.classes), "background"],
                "rows": self.confusion.tolist(),
            },
        }


def voc_curves(found: Found, truth: Truth, overlap: float, classes: int) -> tuple[VocMatches, list[Curve]]:
    """Match by Pascal VOC's rule and return the matches with the curve of each class (0 ... classes - 1)."""
    matches = match_as_voc(found, truth, overlap)
    boxes = np.bincount(truth.class_id, minlength=classes)
    return matches, list(curves(found, matches.correct, boxes))


def summarise(found: Found, truth: Truth, classes: Sequence[str], overlap: float = OVERLAP) -> Summary:
    """Score a model.

    Args:
        found: what it found; corners in pixels of the original pictures, so that sizes are right.
        truth: what there was to find, in the same frame.
        classes: names in id order.
        overlap: see OVERLAP.

    Raises:
        EvaluationError: there is no box to find, or a class id has no name.
    """
    if not len(truth):
        raise EvaluationError(
            f"none of the {truth.pictures} pictures has a box to find; nothing can be scored"
        )
    for what, boxes in (("a box to find", truth), ("a detection", found)):
        highest = int(boxes.class_id.max(initial=-1))
        if highest >= len(classes):
            raise EvaluationError(
                f"{what} has class {highest}, but only {len(classes)} classes are named (ids start at 0)"
            )
    matches, by_class = voc_curves(found, truth, overlap, len(classes))
    operating = operating_points(by_class)
    thresholds = np.array([point.threshold for point in operating])
    coco = score_as_coco(found, truth, len(classes))
    correct = show(found, truth, matches, thresholds).correct
    overlaps, class_of = matches.overlap[correct], found.class_id[correct]
    scores = tuple(
        ClassScore(
            name=name,
            boxes=own.boxes,
            detections=len(own.score),
            ap=own.area() if own.boxes else None,
            ap_11=own.eleven_points() if own.boxes else None,
            coco=coco[number],
            operating=operating[number],
            mean_overlap=_mean(overlaps[class_of == number]),
            curve=own,
        )
        for number, (name, own) in enumerate(zip(classes, by_class, strict=True))
    )
    return Summary(
        overlap=overlap,
        pictures=truth.pictures,
        boxes=len(truth),
        detections=len(found),
        unusable=found.unusable,
        map=mean([one.ap for one in scores]) or 0.0,
        map_11=mean([one.ap_11 for one in scores]) or 0.0,
        coco=mean_score(coco),
        mean_overlap=_mean(overlaps),
        classes=scores,
        confusion=confusion_matrix(found, truth, matches, thresholds, overlap),
    )


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
