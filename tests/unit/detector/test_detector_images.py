"""Decoding: orientation, shrinking, and what is refused."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from detector.errors import ImageError
from detector.images import decode, fill_planes, stored_size, to_square


def jpeg(width: int, height: int, orientation: int | None = None) -> bytes:
    """A JPEG, black with a white top left quarter as stored; with an EXIF orientation if asked for."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 255
    data = cv2.imencode(".jpg", image)[1].tobytes()
    if orientation is None:
        return data
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def png(width: int, height: int) -> bytes:
    return cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes()


def test_sizes_are_read_from_the_header() -> None:
    assert stored_size(jpeg(50, 30)) == (50, 30)
    assert stored_size(jpeg(50, 30, orientation=6)) == (50, 30)
    assert stored_size(png(7, 9)) == (7, 9)
    assert stored_size(b"GIF89a") is None
    assert stored_size(b"") is None


def test_the_image_is_turned_as_people_see_it() -> None:
    plain = decode(jpeg(80, 40), 300)
    assert (plain.width, plain.height) == (80, 40)
    assert plain.pixels[10, 20].min() > 200
    # Orientation 6: turn clockwise, so the stored top left is displayed top right.
    turned = decode(jpeg(80, 40, orientation=6), 300)
    assert (turned.width, turned.height) == (40, 80)
    assert turned.pixels.shape == (80, 40, 3)
    assert turned.pixels[20, 30].min() > 200
    assert turned.pixels[20, 10].max() < 50


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_images_are_shrunk_to_twice_the_network_and_keep_their_displayed_size(orientation: int) -> None:
    image = decode(jpeg(1600, 900, orientation), 100)
    assert min(image.pixels.shape[:2]) == 200
    assert (image.width, image.height) == ((1600, 900) if orientation == 1 else (900, 1600))


def test_png_with_alpha_and_grey_become_three_channels() -> None:
    for pixels in (np.zeros((5, 6, 4), np.uint8), np.zeros((5, 6), np.uint8), np.zeros((5, 6), np.uint16)):
        assert decode(cv2.imencode(".png", pixels)[1].tobytes(), 64).pixels.shape == (5, 6, 3)


@pytest.mark.parametrize("payload", [b"", b"hello", b"\xff\xd8\xff", jpeg(50, 30)[:300], png(9, 9)[:40]])
def test_what_is_no_image_is_refused(payload: bytes) -> None:
    with pytest.raises(ImageError):
        decode(payload, 300)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    with pytest.raises(ImageError, match="60000 x 60000"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk, 300)


def test_network_input_is_normalised_rgb() -> None:
    planes = np.empty((3, 8, 8), np.float32)
    fill_planes(planes, to_square(np.full((4, 6, 3), (103.5, 116.3, 123.7), np.uint8), 8))
    assert np.abs(planes).max() < 0.02
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255
    fill_planes(planes, red)
    assert planes[0].mean() > 2 > -1 > planes[1].mean()
