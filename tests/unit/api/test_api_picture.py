"""Pictures as they come over HTTP."""

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from nestbox.api.errors import NotAnImageError, TooLargeError, UnsupportedTypeError
from nestbox.api.picture import MAX_BYTES, check_size, check_type, read_picture
from PIL import Image

MakePicture = Callable[..., bytes]


def colour_at(content: bytes, x: int, y: int) -> str:
    red, _, blue = Image.open(io.BytesIO(content)).convert("RGB").getpixel((x, y))  # type: ignore[misc]
    return "red" if red > blue else "blue"


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))


@pytest.mark.parametrize(("form", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
def test_a_plain_picture_is_handed_on_as_it_is(make_picture: MakePicture, form: str, media_type: str) -> None:
    content = make_picture(64, 32, form)
    picture = read_picture(content)
    assert (picture.content, picture.media_type, picture.width, picture.height) == (
        content,
        media_type,
        64,
        32,
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA", "1"])
def test_every_kind_of_png_is_read(make_picture: MakePicture, mode: str) -> None:
    assert read_picture(make_picture(form="PNG", mode=mode)).media_type == "image/png"


# Where the stored left half (red) is once the picture is turned: EXIF 2.3, table of tag 274.
@pytest.mark.parametrize(
    ("orientation", "size", "red_at"),
    [
        (1, (64, 32), (4, 16)),
        (2, (64, 32), (60, 16)),
        (3, (64, 32), (60, 16)),
        (4, (64, 32), (4, 16)),
        (5, (32, 64), (16, 4)),
        (6, (32, 64), (16, 4)),
        (7, (32, 64), (16, 60)),
        (8, (32, 64), (16, 60)),
    ],
)
def test_a_turned_picture_stands_upright(
    make_picture: MakePicture, orientation: int, size: tuple[int, int], red_at: tuple[int, int]
) -> None:
    picture = read_picture(make_picture(64, 32, orientation=orientation))
    assert (picture.width, picture.height) == size
    assert colour_at(picture.content, *red_at) == "red"
    if orientation != 1:
        assert 0x0112 not in Image.open(io.BytesIO(picture.content)).getexif()


def test_a_large_turned_picture_is_measured_as_it_came(make_picture: MakePicture) -> None:
    picture = read_picture(make_picture(4000, 2000, orientation=6))
    assert (picture.width, picture.height) == (2000, 4000)
    assert max(Image.open(io.BytesIO(picture.content)).size) == 1280


def test_cmyk_becomes_rgb(make_picture: MakePicture) -> None:
    picture = read_picture(make_picture(mode="CMYK"))
    assert Image.open(io.BytesIO(picture.content)).mode == "RGB"


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("kept", [0, 2, 30, 300, 0.5, 0.95])
def test_a_cut_picture_is_refused(make_picture: MakePicture, form: str, kept: float) -> None:
    whole = make_picture(400, 300, form)
    size = int(len(whole) * kept) if isinstance(kept, float) else kept
    with pytest.raises(NotAnImageError):
        read_picture(whole[:size])


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%PDF-1.7", b"GIF89a" + bytes(40), b"\xff\xd8\xff\xe0" * 9]
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(NotAnImageError):
        read_picture(content)


@pytest.mark.parametrize("edge", [7_100, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(edge: int) -> None:
    with pytest.raises(TooLargeError, match="50 million pixels"):
        read_picture(bomb(edge, edge))


def test_damaged_exif_does_not_cost_the_picture(make_picture: MakePicture) -> None:
    whole = make_picture(orientation=6)
    start = whole.index(b"Exif\0\0") + 6
    assert read_picture(whole[:start] + b"\xff" * 8 + whole[start + 8 :]).width in {32, 64}


def test_more_bytes_than_lambda_takes_are_refused_with_a_way_out() -> None:
    check_size(MAX_BYTES)
    with pytest.raises(TooLargeError, match="Shrink it"):
        check_size(MAX_BYTES + 1)


@pytest.mark.parametrize("content_type", ["image/jpeg", "IMAGE/PNG", "image/jpeg; charset=binary"])
def test_types_that_models_read(content_type: str) -> None:
    check_type(content_type)


@pytest.mark.parametrize("content_type", [None, "", "image/webp", "application/json", "text/plain"])
def test_types_that_models_do_not_read(content_type: str | None) -> None:
    with pytest.raises(UnsupportedTypeError, match="Content-Type: image/jpeg"):
        check_type(content_type)
