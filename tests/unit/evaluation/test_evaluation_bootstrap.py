"""The bootstrap against scoring copies of pictures for real, and what it says of models that are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evaluation.bootstrap import paired_bootstrap
from evaluation.boxes import Found, gather_found, gather_truth
from evaluation.errors import EvaluationError
from evaluation.summary import voc_curves

CLASSES = 4


def plain_map(labels: list[np.ndarray], detections: list[np.ndarray]) -> float:
    _, by_class = voc_curves(gather_found(detections), gather_truth(labels), 0.5, CLASSES)
    return float(np.mean([one.area() for one in by_class if one.boxes]))


def worse(detections: list[np.ndarray], share: float, seed: int = 0) -> list[np.ndarray]:
    """The same detections, some of them lost."""
    random = np.random.default_rng(seed)
    return [rows[random.random(len(rows)) > share] for rows in detections]


def test_equal_to_scoring_every_draw_of_pictures_for_real(crowd: Callable[..., Any]) -> None:
    drawn = crowd(0, pictures=12)
    other = worse(drawn.detections, 0.3)
    result = paired_bootstrap(
        gather_found(drawn.detections), gather_found(other), gather_truth(drawn.labels), resamples=50, seed=3
    )
    random = np.random.default_rng(3)
    differences = []
    for _ in range(50):
        picked = random.integers(0, 12, 12)
        labels = [drawn.labels[n] for n in picked]
        maps = [plain_map(labels, [rows[n] for n in picked]) for rows in (drawn.detections, other)]
        differences.append(maps[0] - maps[1])
    whole = plain_map(drawn.labels, drawn.detections) - plain_map(drawn.labels, other)
    assert result.difference == pytest.approx(whole)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))
    assert result.share_better == np.mean(np.array(differences) > 0)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(crowd: Callable[..., Any]) -> None:
    drawn = crowd(1)
    models = gather_found(drawn.detections), gather_found(worse(drawn.detections, 0.2))
    once, again, other = (
        paired_bootstrap(*models, gather_truth(drawn.labels), resamples=100, seed=seed) for seed in (0, 0, 1)
    )
    assert once == again
    assert once.low != other.low


def test_a_clearly_worse_model_is_clearly_worse(crowd: Callable[..., Any]) -> None:
    drawn = crowd(2, pictures=200)
    truth, good = gather_truth(drawn.labels), gather_found(drawn.detections)
    bad = gather_found(worse(drawn.detections, 0.5))
    result = paired_bootstrap(good, bad, truth, resamples=200)
    assert 0 < result.low < result.difference < result.high
    assert result.share_better == 1.0
    swapped = paired_bootstrap(bad, good, truth, resamples=200)
    assert (swapped.low, swapped.high) == pytest.approx((-result.high, -result.low))


def test_a_model_against_itself_differs_by_nothing(crowd: Callable[..., Any]) -> None:
    drawn = crowd(3)
    same = gather_found(drawn.detections)
    result = paired_bootstrap(same, same, gather_truth(drawn.labels), resamples=50)
    assert (result.difference, result.low, result.high, result.share_better) == (0, 0, 0, 0.5)


def nothing(pictures: int) -> Found:
    return gather_found([np.zeros((0, 6))] * pictures)


def test_a_model_that_finds_nothing_scores_zero(crowd: Callable[..., Any]) -> None:
    drawn = crowd(4)
    result = paired_bootstrap(
        gather_found(drawn.detections), nothing(40), gather_truth(drawn.labels), resamples=20
    )
    assert result.difference == pytest.approx(plain_map(drawn.labels, drawn.detections))
    both = paired_bootstrap(nothing(40), nothing(40), gather_truth(drawn.labels), resamples=20)
    assert both.difference == 0


def test_draws_without_any_box_are_drawn_again() -> None:
    labels = [np.array([[0, 0, 0, 10, 10.0]])] + [np.zeros((0, 5))] * 3
    detections = [np.array([[0, 0.9, 0, 0, 10, 10.0]])] + [np.zeros((0, 6))] * 3
    result = paired_bootstrap(gather_found(detections), nothing(4), gather_truth(labels), resamples=30)
    assert (result.low, result.high) == (1.0, 1.0)


def test_no_box_at_all_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no box to find"):
        paired_bootstrap(nothing(2), nothing(2), gather_truth([np.zeros((0, 5))] * 2))
