"""What the detector makes of the shared scoring: its epoch score, and everything about its best epoch."""

import cv2
import numpy as np
import pytest

from detector.errors import ImageError
from detector.evaluation import score, summarise_samples
from detector.recordio_dataset import Sample
from evaluation.boxes import gather_truth

LEFT, RIGHT = [0, 0, 0.4, 1], [0.6, 0, 1, 1]


def found(*rows: list[float]) -> np.ndarray:
    return np.float32(rows).reshape(-1, 6)


def truth(*rows: list[float]) -> np.ndarray:
    return np.float32(rows).reshape(-1, 5)


def test_the_mean_is_over_classes_that_occur() -> None:
    result = score(
        [found([0, 0.9, *LEFT], [2, 0.8, *RIGHT]), found()],
        gather_truth([truth([0, *LEFT]), truth([1, *RIGHT])]),
        0.5,
    )
    assert result.by_class == {0: 1.0, 1: 0.0}
    assert result.mean == 0.5


def test_no_detection_at_all_scores_zero() -> None:
    assert score([found()], gather_truth([truth([0, *LEFT])]), 0.5).mean == 0.0


def test_a_network_that_answers_no_numbers_scores_zero() -> None:
    nan = float("nan")
    result = score([found([0, nan, *LEFT], [0, 0.9, *[nan] * 4])], gather_truth([truth([0, *LEFT])]), 0.5)
    assert result.mean == 0.0


def test_the_overlap_is_the_one_asked_for() -> None:
    labels = gather_truth([truth([0, *LEFT])])
    near = [found([0, 0.9, 0, 0, 0.4, 0.7])]
    assert (score(near, labels, 0.6).mean, score(near, labels, 0.8).mean) == (1.0, 0.0)


def sample(width: int, height: int, *rows: list[float]) -> Sample:
    payload = cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes()
    return Sample(payload, truth(*rows), 12, "photo")


def test_sizes_of_objects_are_those_in_the_stored_pictures() -> None:
    samples = [sample(400, 300, [0, *LEFT]), sample(40, 30, [1, *RIGHT])]
    summary = summarise_samples([found([0, 0.9, *LEFT]), found()], samples, ["cat", "dog"])
    assert (summary.coco.ap_small, summary.coco.ap_medium, summary.coco.ap_large) == (0.0, None, 1.0)
    assert summary.map == 0.5
    assert summary.thresholds == pytest.approx([0.45, 0.45])


def test_a_sample_without_a_picture_is_named() -> None:
    with pytest.raises(ImageError, match=r"val\.rec record 3 holds no JPEG or PNG"):
        summarise_samples([found()], [Sample(b"text", truth([0, *LEFT]), 12, "val.rec record 3")], ["cat"])
