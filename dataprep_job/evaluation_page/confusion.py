"""Which class is taken for which: a table where it fits a screen, else the most frequent mistakes."""

from __future__ import annotations

import numpy as np

from dataprep_job.report_page.markup import table, text
from evaluation.summary import Summary

_MOST_CLASSES = 20
_MOST_MISTAKES = 30


def confusion_table(summary: Summary) -> str:
    """The confusion matrix of one model at its thresholds."""
    names = [text(one.name) for one in summary.classes]
    if len(names) > _MOST_CLASSES:
        return _most_frequent(summary, names)
    head = ["labelled as", *names, "missed"]
    rows = [
        [name, *(_cell(int(count), at == number) for at, count in enumerate(row))]
        for number, (name, row) in enumerate(zip([*names, "nothing"], summary.confusion, strict=True))
    ]
    return f'<div class="confusion">{table(head, rows, range(1, len(head)))}</div>'


def _cell(count: int, is_right: bool) -> str:
    if not count:
        return "<span class=soft>0</span>"
    return f"<b>{count:,}</b>" if is_right else f'<span class="bad">{count:,}</span>'


def _most_frequent(summary: Summary, names: list[str]) -> str:
    mistakes = summary.confusion.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:_MOST_MISTAKES]
    rows = []
    for truth, taken_for in zip(*np.unravel_index(order, mistakes.shape), strict=True):
        if mistakes[truth, taken_for]:
            rows.append(
                [
                    [*names, "nothing"][truth],
                    [*names, "missed"][taken_for],
                    f"{int(mistakes[truth, taken_for]):,}",
                ]
            )
    return table(["labelled as", "taken for", "times"], rows, [2])
