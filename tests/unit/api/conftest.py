"""Pictures made on the spot."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

MakePicture = Callable[..., bytes]


@pytest.fixture
def make_picture() -> MakePicture:
    """A picture's bytes: red on its left half, blue on its right."""

    def make(
        width: int = 64,
        height: int = 32,
        form: str = "JPEG",
        mode: str = "RGB",
        orientation: int | None = None,
    ) -> bytes:
        image = Image.new("RGB", (width, height), "blue")
        image.paste("red", (0, 0, width // 2, height))
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        out = io.BytesIO()
        image.convert(mode).save(out, form, exif=exif.tobytes() if orientation is not None else b"")
        return out.getvalue()

    return make
