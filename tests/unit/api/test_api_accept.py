"""Which answer an Accept header asks for."""

import pytest
from nestbox.api.detect_answer import wants_picture


@pytest.mark.parametrize(
    ("accept", "picture"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("image/jpeg", True),
        ("IMAGE/JPEG", True),
        ("image/*", True),
        ("image/jpeg, application/json", True),
        ("application/json, image/jpeg", False),
        ("application/json;q=0.5, image/jpeg", True),
        ("image/jpeg;q=0.5, application/json;q=0.9", False),
        ("image/jpeg;q=0", False),
        ("image/jpeg;q=high", False),
        ("image/webp", False),
        ("text/html,*/*;q=0.8", False),
    ],
)
def test_accept(accept: str | None, picture: bool) -> None:
    assert wants_picture(accept) is picture
