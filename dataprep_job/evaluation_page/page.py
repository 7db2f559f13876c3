"""The whole page, put together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from dataprep_job.evaluation_page.confusion import confusion_table
from dataprep_job.evaluation_page.curves import curve_figure
from dataprep_job.exhibits import PicturedImage
from dataprep_job.judgement import Judgement
from dataprep_job.report_page.figures import sample
from dataprep_job.report_page.markup import counted, section, table, text
from dataprep_job.report_page.page import document
from evaluation.summary import ClassScore, Summary

_STYLE = files("dataprep_job.evaluation_page").joinpath("page.css").read_text()
_SPLITS = {
    "test": "the test split, which no epoch was chosen by",
    "validation": "the validation split, which chose the best epoch as well, as the data has no test split",
}


def evaluation_page(judgement: Judgement, worst: Sequence[Sequence[PicturedImage]]) -> str:
    """The whole page. Everything that comes from the dataset is escaped.

    Args:
        judgement: what was measured.
        worst: pictures with the most mistakes, each as labelled and as the models see it.
    """
    return document(
        f"{judgement.dataset}: evaluation",
        f'<header><div class="title"><h1>{text(judgement.dataset)}</h1></div>'
        f"<p class=soft>Evaluation · Run {text(judgement.run)}</p></header>",
        _verdict(judgement),
        section("totals", "In total", _totals(judgement)),
        section("classes", "By class", _classes(judgement)),
        section("curves", "Precision against recall", _curves(judgement)),
        section("confusion", "What is taken for what", _confusion(judgement)),
        section("worst", "The pictures with the most mistakes", _worst(judgement, worst)),
        style=_STYLE,
    )


def _verdict(judgement: Judgement) -> str:
    own, rival, interval = judgement.candidate.summary, judgement.champion, judgement.difference
    said = [f"The candidate's mAP@0.5 is <b>{own.map:.4f}</b>"]
    if rival and interval:
        tone = "good" if interval.difference > 0 else "bad" if interval.difference < 0 else "soft"
        said.append(
            f", the champion's {rival.summary.map:.4f}: "
            f'<b class="{tone}">{interval.difference:+.4f}</b>. '
            f"Other pictures of the same kind would say {interval.low:+.4f} to {interval.high:+.4f} "
            f"({interval.confidence:.0%} of {interval.resamples:,} draws); in {interval.share_better:.0%} of "
            "the draws the candidate is better."
        )
    else:
        said.append(".")
    note = judgement.note or ("" if rival else "There is no champion to compare with.")
    if note:
        said.append(f" {text(note)}")
    left_out = (
        f" {counted(judgement.left_out, 'picture')} left out, as an earlier run trained on "
        f"{'it' if judgement.left_out == 1 else 'them'}."
        if judgement.left_out
        else ""
    )
    return (
        f'<p class="verdict">{"".join(said)}</p>'
        f"<p>Judged on {counted(len(judgement.pictures), 'picture')} with {counted(own.boxes, 'box')} of "
        f"{_SPLITS[judgement.split]}.{left_out}</p>"
    )


def _totals(judgement: Judgement) -> str:
    own = _numbers(judgement.candidate.summary)
    if judgement.champion is None:
        return table(["", "candidate"], [[name, _share(value)] for name, value in own.items()], [1])
    rival = _numbers(judgement.champion.summary)
    rows = [
        [name, _share(value), _share(rival[name]), _difference(value, rival[name])]
        for name, value in own.items()
    ]
    return table(["", "candidate", "champion", "difference"], rows, [1, 2, 3])


def _numbers(summary: Summary) -> dict[str, float | None]:
    coco = summary.coco
    return {
        "mAP@0.5, all points": summary.map,
        "mAP@0.5, VOC's eleven points": summary.map_11,
        "COCO AP, overlap 0.5 to 0.95": coco.ap,
        "COCO AP50": coco.ap50,
        "COCO AP75": coco.ap75,
        "COCO AP, small objects": coco.ap_small,
        "COCO AP, medium": coco.ap_medium,
        "COCO AP, large": coco.ap_large,
        "COCO AR": coco.ar,
        "mean overlap of what is found": summary.mean_overlap,
    }


def _classes(judgement: Judgement) -> str:
    head = ["class", "boxes", "AP50", "COCO AP", "threshold", "precision", "recall"]
    rivals: Sequence[ClassScore | None] = [None] * len(judgement.classes)
    if judgement.champion:
        head[3:3] = ["champion's", "difference"]
        rivals = judgement.champion.summary.classes
    rows = []
    for one, rival in zip(judgement.candidate.summary.classes, rivals, strict=True):
        point = one.operating
        cells = [text(one.name), f"{one.boxes:,}", _share(one.ap)]
        if rival is not None:
            cells += [_share(rival.ap), _difference(one.ap, rival.ap)]
        star = "" if point.basis == "class" else " *"
        cells += [
            _share(one.coco.ap),
            f"{point.threshold:.3f}{star}",
            _share(point.precision),
            _share(point.recall),
        ]
        rows.append(cells)
    measured = all(one.operating.basis == "class" for one in judgement.candidate.summary.classes)
    note = "" if measured else "<p class=soft>* nothing to measure on: the best for all classes together</p>"
    return table(head, rows, range(1, len(head))) + note


def _curves(judgement: Judgement) -> str:
    rivals = judgement.champion.summary.classes if judgement.champion else None
    figures = "".join(
        curve_figure(one, rivals[number] if rivals else None)
        for number, one in enumerate(judgement.candidate.summary.classes)
        if one.boxes
    )
    champion = '<li><i class="champion"></i>champion</li>' if rivals else ""
    return (
        "<p class=soft>Recall to the right, precision upwards; the dot is where the candidate works.</p>"
        f'<ul class="legend"><li><i class="candidate"></i>candidate</li>{champion}</ul>'
        f'<div class="curves">{figures}</div>'
    )


def _confusion(judgement: Judgement) -> str:
    own = confusion_table(judgement.candidate.summary)
    if judgement.champion is None:
        return own
    rival = confusion_table(judgement.champion.summary)
    return (
        f"<h3>Candidate</h3>{own}"
        f'<details><summary><b>Champion</b></summary><div class="body">{rival}</div></details>'
    )


def _worst(judgement: Judgement, worst: Sequence[Sequence[PicturedImage]]) -> str:
    if not worst:
        return ""
    pictures = "".join(
        f'<div class="views">{"".join(sample(view, judgement.classes) for view in views)}</div>'
        for views in worst
    )
    return (
        "<p class=soft>Marked in red: boxes that the candidate misses, and what a model sees wrongly.</p>"
        f'<div class="worst">{pictures}</div>'
    )


def _share(value: float | None) -> str:
    return "&ndash;" if value is None else f"{value:.3f}"


def _difference(own: float | None, rival: float | None) -> str:
    if own is None or rival is None:
        return "&ndash;"
    # Adding 0 makes -0 a plain 0.
    change = round(own - rival, 3) + 0.0
    tone = "good" if change > 0 else "bad" if change < 0 else "soft"
    return f'<span class="{tone}">{change:+.3f}</span>'
