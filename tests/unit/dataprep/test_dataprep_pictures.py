"""Pictures: what a header says, what is refused before decoding, and pixels as a person sees them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dataprep_job.check import CheckReport
from dataprep_job.errors import PictureError
from dataprep_job.image_header import ImageHeader, read_header
from dataprep_job.labels import Edges
from dataprep_job.photo import check_header, decode, encode, mirror

Check = Callable[..., CheckReport]
Files = dict[str, bytes]
Picture = Callable[..., bytes]


def flag() -> np.ndarray:
    """RGB, 100 x 60, different in every corner."""
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[:20, :30] = (250, 10, 10)
    pixels[40:, 70:] = (10, 250, 10)
    pixels[:20, 70:] = (10, 10, 250)
    return pixels


def save(image: Image.Image, kind: str, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, kind, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_baked_in(kind: str, orientation: int) -> None:
    data = save(Image.fromarray(flag()), kind, orientation)
    seen = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))[:, :, ::-1]
    header = check_header(data)
    pixels = decode(data, header, 512)
    assert header.displayed == (seen.shape[1], seen.shape[0])
    assert pixels.shape == seen.shape
    assert np.abs(pixels.astype(int) - seen).mean() < 6
    assert read_header(encode(pixels, 95)).orientation == 1


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("JPEG", mode) for mode in ("L", "CMYK", "1")),
        *(("PNG", mode) for mode in ("L", "RGBA", "P", "1", "LA")),
        *(("WEBP", mode) for mode in ("L", "RGBA", "P", "LA")),
        *(("TIFF", mode) for mode in ("L", "RGBA", "CMYK", "P", "1", "LA")),
        *(("BMP", mode) for mode in ("L", "RGBA", "P", "1")),
    ],
)
def test_any_kind_of_pixels_becomes_three_channels_of_eight_bits(kind: str, mode: str) -> None:
    data = save(Image.fromarray(flag()).convert(mode), kind)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[:, :, ::-1]
    pixels = decode(data, check_header(data), 512)
    assert (pixels.shape, pixels.dtype) == ((60, 100, 3), np.uint8)
    assert np.abs(pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bits_are_scaled_to_eight(extension: str) -> None:
    deep = np.linspace(0, 65535, 60 * 100).reshape(60, 100).astype(np.uint16)
    data = cv2.imencode(extension, deep)[1].tobytes()
    pixels = decode(data, check_header(data), 512)
    assert np.abs(pixels[:, :, 0].astype(int) - deep // 256).max() <= 1


def test_metadata_is_gone(picture: Picture) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRET-CAMERA"
    exif.get_ifd(0x8825)[1] = "N"
    out = io.BytesIO()
    Image.fromarray(flag()).save(out, "JPEG", exif=exif, comment=b"SECRET-COMMENT")
    assert b"SECRET" in out.getvalue()
    encoded = encode(decode(out.getvalue(), check_header(out.getvalue()), 512), 95)
    assert b"SECRET" not in encoded
    assert b"Exif" not in encoded


@pytest.mark.parametrize(
    ("size", "edge", "expected"),
    [
        ((4000, 3000), 512, (512, 683)),
        ((3000, 4000), 512, (683, 512)),
        ((300, 200), 512, (200, 300)),
        ((513, 512), 512, (512, 513)),
        ((1024, 1024), 512, (512, 512)),
        ((2000, 4), 512, (4, 2000)),
    ],
)
def test_the_shorter_edge_is_reduced_and_nothing_is_enlarged(
    picture: Picture, size: tuple[int, int], edge: int, expected: tuple[int, int]
) -> None:
    data = picture(*size)
    assert decode(data, check_header(data), edge).shape[:2] == expected


def test_reduced_decoding_shows_the_same_picture(picture: Picture) -> None:
    smooth = cv2.resize(cv2.imdecode(np.frombuffer(picture(200, 160), np.uint8), 1), (2000, 1600))
    data = encode(smooth, 95)
    header = check_header(data)
    whole = cv2.resize(decode(data, header, 5000), (200, 160), interpolation=cv2.INTER_AREA)
    reduced = decode(data, header, 160)
    assert reduced.shape == whole.shape
    assert np.abs(reduced.astype(int) - whole).mean() < 4


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_off_file_is_found_out(picture: Picture, extension: str, share: float) -> None:
    data = picture(400, 300, extension=extension)
    with pytest.raises(PictureError) as caught:
        decode(data[: int(len(data) * share)], check_header(data[: int(len(data) * share)]), 512)
    assert caught.value.code in ("image.truncated", "image.unsupported", "image.unreadable")


def test_the_end_of_an_embedded_preview_does_not_hide_a_cut_off_file(picture: Picture) -> None:
    whole, preview = picture(400, 300), picture(32, 24)
    segment = b"Exif\0\0" + preview
    data = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + whole[2:]
    assert read_header(data).width == 400
    with pytest.raises(PictureError, match="no end"):
        read_header(data[:-200])


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", body) + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (40_000, 10), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int], voc: Files, checked: Check) -> None:
    voc["JPEGImages/a1.jpg"] = png_claiming(*size)
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["image.too-large"]
    assert report.usable_images == 9


@pytest.mark.parametrize(
    ("data", "code", "hint"),
    [
        (b"GIF89a" + b"\0" * 50, "image.unsupported", "GIF"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 50, "image.unsupported", "HEIC"),
        (b"<html>not found</html>", "image.unsupported", "text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "image.unsupported", "Git LFS"),
        (b"", "image.truncated", "empty"),
        (png_claiming(0, 5), "image.unreadable", "0 x 5"),
        (png_claiming(50, 50), "image.unreadable", "decoded"),
        (b"\xff\xd8\xff\xd9", "image.truncated", "before"),
        (b"\xff\xd8garbage", "image.unreadable", "segments"),
    ],
)
def test_what_is_no_usable_picture_is_named(
    data: bytes, code: str, hint: str, voc: Files, checked: Check
) -> None:
    voc["JPEGImages/a1.jpg"] = data
    report = checked(voc)
    (defect,) = report.defects
    assert (defect.code, defect.place.file) == (code, "JPEGImages/a1.jpg")
    assert hint in defect.message
    assert report.usable_images == 9


def test_the_content_counts_not_the_extension(voc: Files, picture: Picture, checked: Check) -> None:
    voc["JPEGImages/a1.jpg"] = picture(seed=1, extension=".png")
    assert checked(voc).defects == []


def test_labelled_lying_on_its_side_boxes_turn_with_the_picture(
    voc: Files, xml: Callable[..., bytes], checked: Check
) -> None:
    voc = {path: data for path, data in voc.items() if "a0" in path or "a1" in path}
    voc["JPEGImages/a1.jpg"] = save(Image.fromarray(flag()), "JPEG", 6)
    voc["Annotations/a1.xml"] = xml([("dog", 1, 1, 30, 20)], size=(100, 60))
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["image.turned"]
    (shown,) = [one for one in report.pictured if one.path == "JPEGImages/a1.jpg"]
    assert (shown.width, shown.height) == (60, 100)
    assert shown.boxes[0].edges == Edges(40, 0, 60, 30)


@given(
    data=st.binary(max_size=300),
    start=st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"II*\0", b"BM"]),
)
def test_any_bytes_give_a_header_or_a_picture_error(start: bytes, data: bytes) -> None:
    try:
        header = read_header(start + data)
    except PictureError:
        return
    assert isinstance(header, ImageHeader)


@given(st.integers(0, 2**32 - 1))
def test_mirroring_twice_gives_the_same_pixels(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (7, 9, 3), np.uint8)
    assert np.array_equal(mirror(mirror(pixels)), pixels)
