"""Which detection found which box, and what a person sees of it. Two rules, because two numbers are reported.

Pascal VOC: a detection speaks of the box it overlaps most; if a better one found that box already it is a
mistake, even where a neighbour is free. COCO: it may take the best box that is still free.
"""

from dataclasses import dataclass

import numpy as np

from evaluation.boxes import Booleans, Floats, Found, Integers, Truth, first_of_runs, overlapping


@dataclass(frozen=True)
class VocMatches:
    """Of each detection (n,): the box it was the first to find, -1 where it is a mistake, and the overlap."""

    box: Integers
    overlap: Floats

    @property
    def correct(self) -> Booleans:
        """Whether a detection found a box (n,)."""
        return self.box >= 0


def match_as_voc(found: Found, truth: Truth, overlap: float) -> VocMatches:
    """Match by the rule of the Pascal VOC development kit: the best scores first, overlap at least `overlap`.

    Of detections with equal scores in one picture the one that stands first in the input comes first.
    """
    box = np.full(len(found), -1, np.int64)
    achieved = np.zeros(len(found))
    near = overlapping(found, truth, overlap)
    if len(near.found):
        runs = first_of_runs(near.found)
        most = np.maximum.reduceat(near.overlap, runs)
        nearest = np.flatnonzero(near.overlap == np.repeat(most, np.diff(runs, append=len(near.found))))
        nearest = nearest[first_of_runs(near.found[nearest])]
        ranked = nearest[np.argsort(-found.score[near.found[nearest]], kind="stable")]
        claims = ranked[np.unique(near.truth[ranked], return_index=True)[1]]
        box[near.found[claims]] = near.truth[claims]
        achieved[near.found[claims]] = near.overlap[claims]
    return VocMatches(box, achieved)


@dataclass(frozen=True)
class Shown:
    """What a model that hides low scores gets right and wrong.

    correct and wrong: of each detection (n,), both False where it is hidden. missed: of each box (m,).
    """

    correct: Booleans
    wrong: Booleans
    missed: Booleans


def show(found: Found, truth: Truth, matches: VocMatches, thresholds: Floats) -> Shown:
    """Hide the detections below their class's threshold (classes,); classes beyond it are hidden."""
    least = np.append(thresholds, np.inf)[np.minimum(found.class_id, len(thresholds))]
    shown = found.score >= least
    correct = shown & matches.correct
    missed = np.ones(len(truth), bool)
    missed[matches.box[correct]] = False
    return Shown(correct, shown & ~correct, missed)


class CocoMatcher:
    """Matches by COCO's rule, at several overlaps at once, for one range of sizes after another."""

    def __init__(self, found: Found, truth: Truth, overlaps: Floats) -> None:
        """`overlaps`: ascending, (t,)."""
        self._overlaps = overlaps[:, None]
        self._near = overlapping(found, truth, float(overlaps[0]))
        self._boxes, self._detections = len(truth), len(found)
        self.rank = _ranks(found)

    def match(self, ignored: Booleans, most: int) -> tuple[Booleans, Booleans]:
        """Return of each overlap and detection (t, n) whether it found a box, and whether one to be ignored.

        Args:
            ignored: of each box to find whether it is none of those that are asked for; such a box is only
                taken by a detection for which no other is left.
            most: detections of one class in one picture that take part, the best scores first.
        """
        shape = len(self._overlaps), self._detections
        hit, spent = np.zeros(shape, bool), np.zeros(shape, bool)
        taken = np.zeros((len(self._overlaps), self._boxes), bool)
        rank = self.rank[self._near.found]
        in_turn = np.argsort(rank, kind="stable")
        in_turn = in_turn[rank[in_turn] < most]
        turns = np.split(in_turn, first_of_runs(rank[in_turn])[1:])
        for turn in turns if len(in_turn) else ():
            self._take(turn, ignored, taken, hit, spent)
        return hit, spent

    def _take(
        self, turn: Integers, ignored: Booleans, taken: Booleans, hit: Booleans, spent: Booleans
    ) -> None:
        """Let one detection of each class and picture choose; their boxes differ, so all may at once."""
        boxes, overlap = self._near.truth[turn], self._near.overlap[turn]
        runs = first_of_runs(self._near.found[turn])
        detections = self._near.found[turn[runs]]
        lengths = np.diff(runs, append=len(turn))
        free = (overlap >= self._overlaps) & ~taken[:, boxes]
        asked_for = free & ~ignored[boxes]
        has_asked_for = np.logical_or.reduceat(asked_for, runs, axis=1)
        free = np.where(np.repeat(has_asked_for, lengths, axis=1), asked_for, free)
        height = np.where(free, overlap, -1)
        best = np.maximum.reduceat(height, runs, axis=1)
        # Of boxes that overlap equally COCO takes the last.
        at_best = free & (height == np.repeat(best, lengths, axis=1))
        chosen = np.maximum.reduceat(np.where(at_best, np.arange(len(turn)), -1), runs, axis=1)
        which, who = np.nonzero(chosen >= 0)
        box = boxes[chosen[which, who]]
        taken[which, box] = True
        hit[which, detections[who]] = True
        spent[which, detections[who]] = ignored[box]


def _ranks(found: Found) -> Integers:
    """The place of each detection among those of its class and picture, from 0, the best score first (n,)."""
    order = np.lexsort((-found.score, found.class_id, found.picture))
    runs = first_of_runs(found.picture[order] * (1 + found.class_id.max(initial=0)) + found.class_id[order])
    ranks = np.zeros(len(found), np.int64)
    lengths = np.diff(runs, append=len(found))
    ranks[order] = np.arange(len(found)) - np.repeat(runs, lengths)
    return ranks
