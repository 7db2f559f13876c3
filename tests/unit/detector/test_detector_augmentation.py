"""Random views: the labels move as the pixels do."""

from random import Random

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.augmentation import labels_in_window, random_colour, random_mosaic, random_view, random_window
from detector.images import NORMALISE


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A black image with one white rectangle, and its label."""
    image = np.zeros((120, 200, 3), np.uint8)
    cv2.rectangle(image, (60, 30), (119, 89), (255, 255, 255), -1)
    return image, np.float32([[0, 60 / 200, 30 / 120, 120 / 200, 90 / 120]])


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_the_box_stays_around_what_it_was_drawn_around(seed: int) -> None:
    image, labels = scene()
    view, seen = random_view(image, labels, 96, Random(seed))
    assert view.shape == (96, 96, 3)
    rows, columns = np.nonzero(view.min(axis=2) > 160)
    assert len(seen) == 1
    drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 96
    np.testing.assert_allclose(seen[0, 1:], drawn, atol=1.6 / 96)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_images_of_any_size_give_views(height: int, width: int, seed: int) -> None:
    image = np.full((height, width, 3), 255, np.uint8)
    labels = np.float32([[0, 0, 0, 1, 1]])
    view, seen = random_view(image, labels, 32, Random(seed))
    assert view.shape == (32, 32, 3)
    # All of what is white is what is labelled.
    rows, columns = np.nonzero(view.min(axis=2) == 255)
    drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 32
    np.testing.assert_allclose(seen[0, 1:], drawn, atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_in_a_mosaic_boxes_stay_around_what_they_were_drawn_around(seed: int) -> None:
    image, labels = scene()
    # Pieces of one colour meet, so each picture draws in one that the others have not.
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    pictures = [
        (np.where(image > 0, colour, 0).astype(np.uint8), np.float32([[number, *labels[0, 1:]]]))
        for number, colour in enumerate(colours)
    ]
    mosaic, seen = random_mosaic(pictures, 96, Random(seed))
    assert mosaic.shape == (96, 96, 3)
    for number, colour in enumerate(colours):
        differences = np.abs(mosaic.astype(int) - colour).max(axis=2)
        rows, columns = np.nonzero(differences < 100)
        boxes = seen[seen[:, 0] == number, 1:]
        assert len(boxes) == 1
        drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 96
        np.testing.assert_allclose(boxes[0], drawn, atol=1.6 / 96)


def test_the_whole_image_leaves_labels_alone() -> None:
    _, labels = scene()
    np.testing.assert_array_equal(labels_in_window(labels, (0, 0, 1, 1)), labels)


def test_hardly_visible_boxes_are_dropped_and_others_cut() -> None:
    labels = np.float32([[0, 0, 0, 0.2, 1], [1, 0.1, 0, 0.6, 1]])
    seen = labels_in_window(labels, (0.15, 0, 0.85, 1))
    assert seen[:, 0].tolist() == [1]
    np.testing.assert_allclose(seen[0, 1:], [0, 0, 0.45 / 0.85, 1], rtol=1e-6)


@given(st.integers(0, 2**32))
def test_windows_without_labels_are_allowed(seed: int) -> None:
    left, top, width, height = random_window(np.zeros((0, 5), np.float32), Random(seed))
    assert width > 0
    assert height > 0
    assert left <= max(0, 1 - width)
    assert top <= max(0, 1 - height)


@given(st.floats(0.35, 1), st.floats(0.35, 1), st.integers(0, 2**32))
def test_a_piece_is_not_stretched_further_than_a_view(across: float, down: float, seed: int) -> None:
    labels = np.float32([[0, 0.1, 0.1, 0.9, 0.9]])
    left, top, width, height = random_window(labels, Random(seed), (across, down))
    stretch = (width / height) / (across / down)
    assert 1 / 1.51 < stretch < 1.51
    seen = labels_in_window(labels, (left, top, width, height))
    assert len(seen) == 1


def test_the_same_seed_gives_the_same_view() -> None:
    image, labels = scene()
    first = random_view(image, labels, 64, Random(5))
    second = random_view(image, labels, 64, Random(5))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_colours_vary_about_the_plain_normalisation() -> None:
    matrices = np.stack([random_colour(Random(seed)) for seed in range(400)])
    grey = np.float32([128, 128, 128, 1])
    assert np.abs((matrices @ grey).mean(axis=0) - NORMALISE @ grey).max() < 0.1
    assert (matrices @ grey).std(axis=0).min() > 0.2
