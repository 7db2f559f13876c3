"""API tokens kept for this user, by the address of the API, in a file nobody else can read."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

from cli.errors import CliError

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def path() -> Path:
    """Where the tokens are kept."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "nestbox" / "credentials.json"


def load(api_url: str) -> str | None:
    """The token kept for an API, or None; raises CliError where the file is broken or open to others."""
    entry = _read().get(api_url)
    return str(entry["token"]) if isinstance(entry, dict) and "token" in entry else None


def save(api_url: str, token: str, name: str) -> Path:
    """Keep a token for an API; returns the file."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {**_read(), api_url: {"token": token, "name": name}}
    # Written aside and moved: never half a file, and never for a moment readable by others.
    aside = file.with_suffix(f".{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
    aside.replace(file)
    return file


def _read() -> dict[str, Any]:
    file = path()
    try:
        mode = file.stat().st_mode
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CliError(
            f"{file} is no JSON: {error}", "Delete it, and make a new token: nestbox token create"
        ) from error
    if sys.platform != "win32" and mode & OTHERS:
        raise CliError(f"{file} can be read by other users.", f"chmod 600 {file}")
    if not isinstance(content, dict):
        raise CliError(f"{file} holds no tokens.", "Delete it, and make a new token: nestbox token create")
    return content
