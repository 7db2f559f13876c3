"""The one version of MiniStack that the plug-in and its mends are written for."""

from __future__ import annotations

from importlib.metadata import version

from local.errors import ServerError

# The plug-in reaches into MiniStack's modules: another version may have moved what it touches.
MINISTACK_VERSION = "1.5.33"


def check_version() -> None:
    """Raises ServerError when another version of MiniStack is installed."""
    installed = version("ministack")
    if installed != MINISTACK_VERSION:
        raise ServerError(
            f"MiniStack {installed} is installed, but the plug-in is written for {MINISTACK_VERSION}: "
            f"install ministack=={MINISTACK_VERSION} (requirements/dev.txt pins it)"
        )
