"""What comes out of judging a candidate: every number about it and about the champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dataprep_job.judged_pictures import JudgedPicture
from dataprep_job.labels import Split
from evaluation.bootstrap import Interval
from evaluation.boxes import Booleans, Found, Integers, Truth
from evaluation.summary import Summary

WORST = 12
"""Pictures that the page shows."""


@dataclass(frozen=True)
class Judged:
    """One model's boxes and what they are worth.

    shown and wrong: of each detection whether its score is enough, and whether it is a mistake then.
    missed: of each box to find.
    """

    found: Found
    summary: Summary
    shown: Booleans
    wrong: Booleans
    missed: Booleans


@dataclass(frozen=True)
class Judgement:
    """Everything that the report says.

    split: which pictures; `validation` chose the best epoch as well. left_out: pictures that models were
    trained on before. champion_run: whose model the champion is. note: what whoever reads the numbers must
    know, empty where that is nothing.
    """

    run: str
    dataset: str
    split: Split
    pictures: Sequence[JudgedPicture]
    left_out: int
    classes: Sequence[str]
    truth: Truth
    candidate: Judged
    champion: Judged | None
    champion_run: str | None
    difference: Interval | None
    note: str

    def worst(self) -> list[int]:
        """Return the pictures with the most mistakes of the candidate, at most WORST, as indices.

        Of equally bad ones those come first in which the champion does better.
        """
        own = self._mistakes(self.candidate)
        rival = self._mistakes(self.champion) if self.champion else own
        order = np.lexsort((rival, -own))
        return [int(number) for number in order[:WORST] if own[number]]

    def to_json(self) -> dict[str, Any]:
        """Return the content of `report.json`."""
        worst = [
            {
                "key": self.pictures[number].key,
                "candidate": self._counts(self.candidate, number),
                "champion": self._counts(self.champion, number) if self.champion else None,
            }
            for number in self.worst()
        ]
        return {
            "run": self.run,
            "dataset": self.dataset,
            "split": self.split,
            "split_chose_the_epoch": self.split == "validation",
            "pictures": len(self.pictures),
            "left_out": self.left_out,
            "note": self.note,
            "candidate": self.candidate.summary.to_json(),
            "champion": self.champion.summary.to_json() if self.champion else None,
            "champion_run": self.champion_run,
            "difference": asdict(self.difference) if self.difference else None,
            "worst": worst,
        }

    def _mistakes(self, judged: Judged) -> Integers:
        missed = np.bincount(self.truth.picture[judged.missed], minlength=len(self.pictures))
        wrong = np.bincount(judged.found.picture[judged.wrong], minlength=len(self.pictures))
        return np.asarray(missed + wrong, np.int64)

    def _counts(self, judged: Judged, picture: int) -> dict[str, int]:
        return {
            "missed": int(judged.missed[self.truth.picture == picture].sum()),
            "wrong": int(judged.wrong[judged.found.picture == picture].sum()),
        }
