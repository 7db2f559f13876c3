"""Boxes drawn onto a picture."""

import io
from collections.abc import Callable

from nestbox.api.boxes import Box, Detection
from nestbox.api.drawing import MAX_EDGE, class_colour, draw
from nestbox.api.picture import read_picture
from PIL import Image

MakePicture = Callable[..., bytes]


def drawn(content: bytes, *found: Detection) -> Image.Image:
    return Image.open(io.BytesIO(draw(read_picture(content), found)))


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    return all(abs(have - want) < 60 for have, want in zip(pixel, colour, strict=True))  # type: ignore[call-overload]


def test_the_frame_is_where_the_box_is_and_in_the_colour_of_its_class(make_picture: MakePicture) -> None:
    image = drawn(make_picture(640, 480), Detection("wren", 0.9, Box(100, 200, 400, 400)))
    assert image.format == "JPEG"
    assert image.size == (640, 480)
    for x, y in ((101, 300), (399, 300), (250, 201), (250, 399)):
        assert near(image.getpixel((x, y)), class_colour("wren")), (x, y)


def test_nothing_found_leaves_the_picture(make_picture: MakePicture) -> None:
    assert drawn(make_picture(640, 480)).size == (640, 480)


def test_a_large_picture_is_drawn_smaller_with_its_boxes_in_place(make_picture: MakePicture) -> None:
    image = drawn(make_picture(3200, 1600), Detection("wren", 0.9, Box(800, 400, 2400, 1200)))
    assert image.size == (MAX_EDGE, 800)
    assert near(image.getpixel((401, 400)), class_colour("wren"))


def test_a_turned_picture_is_drawn_upright(make_picture: MakePicture) -> None:
    image = drawn(make_picture(64, 32, orientation=6), Detection("wren", 0.5, Box(1, 1, 30, 60)))
    assert image.size == (32, 64)


def test_a_class_keeps_its_colour_and_others_differ() -> None:
    names = ["wren", "finch", "auklet", "heron", "gull"]
    assert class_colour("wren") == class_colour("wren")
    assert len({class_colour(name) for name in names}) == len(names)
