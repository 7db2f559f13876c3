"""The Batch job `evaluate`: how good is a candidate, and is it better than the champion?

Both are held against the same held-out pictures, from the answers that batch transform left. Whether the
candidate replaces the champion is decided elsewhere, from the numbers in `report.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataprep_job.class_list import classes_from_json
from dataprep_job.errors import PictureError, SourceError
from dataprep_job.evaluation_page.page import evaluation_page
from dataprep_job.exhibits import Flaw, PicturedImage
from dataprep_job.held_out import HELD_OUT
from dataprep_job.inspection import ImageBox
from dataprep_job.judged_pictures import JudgedPicture, judged_split, pictures_from_jsonl
from dataprep_job.judgement import Judged, Judgement
from dataprep_job.labels import Edges, Split
from dataprep_job.photo import check_header, decode
from dataprep_job.predictions import read_predictions, translate_classes
from dataprep_job.progress import Say
from dataprep_job.storage import Storage
from dataprep_job.thumbnail import LONGER_EDGE, thumbnail
from dataprep_job.trained_before import TRAINED_BEFORE, TrainedBefore, trained_before_from_jsonl
from evaluation.bootstrap import paired_bootstrap
from evaluation.boxes import Booleans, Boxes, Truth, gather_found, gather_truth
from evaluation.matching import match_as_voc, show
from evaluation.summary import summarise

REPORT = "report.json"
PAGE = "report.html"
_ALL_SEEN = (
    "Every labelled picture that is held out was trained on by an earlier run, so none could be left out: "
    "hold out fresh ones."
)


@dataclass(frozen=True)
class Model:
    """One of the two: where its answers are, and its preparation, which knows its classes."""

    run: str
    answers: Storage
    preparation: Storage
    address: str
    """Of the preparation, for messages."""


@dataclass(frozen=True)
class Comparison:
    """What is to be judged: the candidate, against the champion where there is one.

    pictures: what models were shown, by the names that the candidate's preparation gave them.
    note: why the dataset's champion cannot be compared with; empty where it can, or there is none.
    """

    dataset: str
    candidate: Model
    champion: Model | None
    pictures: Storage
    note: str
    output: Storage


def evaluate(order: Comparison, say: Say) -> Judgement:
    """Judge, and write `report.html` and then `report.json`, whose presence says that all is there.

    Raises:
        DataPrepError: something cannot be read or written, or there is nothing to judge on.
    """
    judgement = judge(order, say)
    page = evaluation_page(judgement, _worst(order.pictures, judgement))
    document = json.dumps(judgement.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    order.output.put(PAGE, page.encode(), "text/html; charset=utf-8")
    order.output.put(REPORT, document.encode(), "application/json")
    against = f", the champion's {judgement.champion.summary.map:.4f}" if judgement.champion else ""
    say(
        f"{judgement.run}: mAP@0.5 {judgement.candidate.summary.map:.4f}{against}, "
        f"on {len(judgement.pictures):,} pictures"
    )
    return judgement


def judge(order: Comparison, say: Say) -> Judgement:
    """Read both models' answers and score them on the same pictures."""
    classes = _classes(order.candidate)
    split, held_out, seen = _held_out(order.candidate)
    pictures = [picture for picture in held_out if not seen.holds(picture.key, picture.digest)]
    notes = [order.note]
    if not any(picture.boxes for picture in pictures):
        # The numbers flatter whoever has seen most of them, which rarely is the candidate; to judge it alone
        # would let it win against nobody.
        pictures = held_out
        notes.append(_ALL_SEEN)
    class_ids = {name: number for number, name in enumerate(classes)}
    truth = _truth(pictures, class_ids)
    judged = _judged(order.candidate, "candidate", pictures, class_ids, truth, say)
    champion = order.champion
    rival = _judged(champion, "champion", pictures, class_ids, truth, say) if champion else None
    return Judgement(
        run=order.candidate.run,
        dataset=order.dataset,
        split=split,
        pictures=pictures,
        left_out=len(held_out) - len(pictures),
        classes=classes,
        truth=truth,
        candidate=judged,
        champion=rival,
        champion_run=champion.run if champion else None,
        difference=paired_bootstrap(judged.found, rival.found, truth) if rival else None,
        note=" ".join(filter(None, notes)),
    )


def _held_out(model: Model) -> tuple[Split, list[JudgedPicture], TrainedBefore]:
    """The split that judges, its pictures, and which pictures models may have been trained on before."""
    held_out = model.preparation.open(HELD_OUT)
    before = model.preparation.open(TRAINED_BEFORE)
    for name, stream in ((HELD_OUT, held_out), (TRAINED_BEFORE, before)):
        if stream is None:
            raise SourceError(f"{model.address} has no {name}; name the preparation of the run.")
    assert held_out is not None
    assert before is not None
    with held_out, before:
        everything = pictures_from_jsonl(held_out)
        seen = trained_before_from_jsonl(before)
    split = judged_split(everything)
    pictures = [picture for picture in everything if picture.split == split]
    if not any(picture.boxes for picture in pictures):
        raise SourceError(
            f"None of the {len(pictures):,} held-out pictures has a box, so nothing can be judged; "
            "label some of them."
        )
    return split, pictures, seen


def _classes(model: Model) -> list[str]:
    data = model.preparation.read("classes.json")
    if data is None:
        raise SourceError(f"{model.address} has no classes.json; name the preparation of the model's run.")
    return classes_from_json(data)


def _truth(pictures: Sequence[JudgedPicture], class_ids: dict[str, int]) -> Truth:
    labels = []
    for picture in pictures:
        unknown = [name for name, _ in picture.boxes if name not in class_ids]
        if unknown:
            raise SourceError(f"{HELD_OUT} has the class {unknown[0]!r}, which classes.json does not name.")
        rows = [[class_ids[name], *edges] for name, edges in picture.boxes]
        labels.append(np.array(rows, np.float64).reshape(-1, 5))
    return gather_truth(labels)


def _judged(
    model: Model,
    who: str,
    pictures: Sequence[JudgedPicture],
    class_ids: dict[str, int],
    truth: Truth,
    say: Say,
) -> Judged:
    translation = translate_classes(_classes(model), class_ids)
    names = [_name(picture) for picture in pictures]
    rows = read_predictions(model.answers, names, translation, who, say)
    found = gather_found(rows, [(picture.width, picture.height) for picture in pictures])
    summary = summarise(found, truth, list(class_ids))
    matches = match_as_voc(found, truth, summary.overlap)
    at_work = show(found, truth, matches, np.array(summary.thresholds))
    return Judged(found, summary, at_work.correct | at_work.wrong, at_work.wrong, at_work.missed)


def _name(picture: JudgedPicture) -> str:
    """The file that models were shown."""
    if picture.picture is None:
        raise SourceError(f"{HELD_OUT} names no file of {picture.key} to judge on. Prepare the run again.")
    return picture.picture


def _worst(pictures: Storage, judgement: Judgement) -> list[list[PicturedImage]]:
    """Show the worst pictures as labelled and as each model sees it; what cannot be opened is left out."""
    chosen = judgement.worst()
    shown = []
    for number in chosen:
        picture = judgement.pictures[number]
        jpeg = _thumbnail(pictures.read(_name(picture)))
        if jpeg is None:
            continue
        truth = judgement.truth
        labelled = truth.picture == number
        views = [("Labels", _marked(truth, labelled, labelled & judgement.candidate.missed))]
        for title, judged in (("Candidate", judgement.candidate), ("Champion", judgement.champion)):
            if judged is not None:
                here = judged.found.picture == number
                views.append((title, _marked(judged.found, here & judged.shown, here & judged.wrong)))
        shown.append(
            [
                PicturedImage(picture.key, title, picture.width, picture.height, boxes, jpeg, flaws=flaws)
                for title, (boxes, flaws) in views
            ]
        )
    return shown


def _thumbnail(data: bytes | None) -> bytes | None:
    if data is None:
        return None
    try:
        return thumbnail(decode(data, check_header(data), LONGER_EDGE))
    except PictureError:
        return None


def _marked(boxes: Boxes, drawn: Booleans, marked: Booleans) -> tuple[tuple[ImageBox, ...], tuple[Flaw, ...]]:
    """The boxes to draw, and those of them to mark as mistakes."""

    def edges(index: int) -> Edges:
        return Edges(*map(float, boxes.corners[index]))

    return (
        tuple(ImageBox(int(boxes.class_id[index]), edges(index)) for index in np.flatnonzero(drawn)),
        tuple(Flaw(edges(index), 0) for index in np.flatnonzero(marked)),
    )
