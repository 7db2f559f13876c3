"""Image URIs → the command that does on this machine what the container would do (`images.toml`)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from local.errors import ImagePullError, ImagesError

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_IMAGES = Path(__file__).with_name("images.toml")
_KEYS = {"match", "python", "python_path", "run", "train", "serve", "environment"}


@dataclass(frozen=True)
class Image:
    """One entry: an environment and its commands."""

    match: str
    python: Path
    python_path: tuple[Path, ...] = ()
    run: tuple[str, ...] | None = None
    train: tuple[str, ...] | None = None
    serve: tuple[str, ...] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def batch_command(self, arguments: Sequence[str]) -> list[str]:
        """The command of a Batch job with these container arguments."""
        return [str(self.python), *self._part(self.run, "run", "Batch jobs"), *arguments]

    def train_command(self, root: Path) -> list[str]:
        """The command of a training job whose /opt/ml is `root`."""
        return self._placed(self._part(self.train, "train", "training jobs"), root=str(root))

    def serve_command(self, root: Path, port: int) -> list[str]:
        """The command that serves the model in `root`/model on 127.0.0.1:`port`."""
        parts = self._part(self.serve, "serve", "endpoints")
        return self._placed(parts, root=str(root), port=str(port))

    def variables(self) -> dict[str, str]:
        """The environment the image itself brings."""
        variables = dict(self.environment)
        if self.python_path:
            variables["PYTHONPATH"] = os.pathsep.join(str(path) for path in self.python_path)
        return variables

    def _placed(self, parts: Sequence[str], **values: str) -> list[str]:
        command = list(parts)
        for name, value in values.items():
            command = [part.replace(f"{{{name}}}", value) for part in command]
        return [str(self.python), *command]

    def _part(self, parts: tuple[str, ...] | None, key: str, use: str) -> tuple[str, ...]:
        if parts is None:
            raise ImagePullError(
                f"CannotPullContainerError: the entry for {self.match!r} in images.toml has no `{key}`, "
                f"so this machine cannot run it for {use}"
            )
        return parts


class Images:
    """The entries of one images file, in its order."""

    def __init__(self, entries: Sequence[Image], file: Path) -> None:
        self._entries = tuple(entries)
        self._file = file

    @classmethod
    def read(cls, file: Path = DEFAULT_IMAGES, root: Path = REPOSITORY) -> Images:
        """Reads an images file; relative paths in it start at `root`. Raises ImagesError."""
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ImagesError(f"cannot read {file}: {error}") from error
        entries = document.get("image")
        if not isinstance(entries, list) or not entries:
            raise ImagesError(f"{file} has no [[image]] entry")
        return cls([_image(entry, number, file, root) for number, entry in enumerate(entries, 1)], file)

    def find(self, uri: str) -> Image:
        """The entry for an image URI. Raises ImagePullError in ECS's words, naming the file to edit."""
        for entry in self._entries:
            if fnmatchcase(uri, entry.match):
                if not entry.python.exists():
                    raise ImagePullError(
                        f"CannotPullContainerError: {uri}: its interpreter {entry.python} does not exist; "
                        f"`make setup` makes the environments that {self._file.name} names"
                    )
                return entry
        known = ", ".join(entry.match for entry in self._entries)
        raise ImagePullError(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve "
            f"ref {uri}: not found. No entry of local/{self._file.name} matches it (known: {known})"
        )


def _image(entry: Any, number: int, file: Path, root: Path) -> Image:
    where = f"{file}: [[image]] number {number}"
    if not isinstance(entry, dict):
        raise ImagesError(f"{where} is no table")
    if unknown := sorted(set(entry) - _KEYS):
        raise ImagesError(f"{where}: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}")
    for key in ("match", "python"):
        if not isinstance(entry.get(key), str):
            raise ImagesError(f"{where}: `{key}` must be a string")
    for key in ("python_path", "run", "train", "serve"):
        value = entry.get(key, [])
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise ImagesError(f"{where}: `{key}` must be a list of strings")
    environment = entry.get("environment", {})
    if not isinstance(environment, dict) or not all(isinstance(v, str) for v in environment.values()):
        raise ImagesError(f"{where}: `environment` must be a table of strings")
    commands = {key: tuple(entry[key]) for key in ("run", "train", "serve") if key in entry}
    return Image(
        match=entry["match"],
        # Not resolved: an environment's python is a link, and following it would leave the environment.
        python=root / entry["python"],
        python_path=tuple(root / path for path in entry.get("python_path", ())),
        environment=environment,
        **commands,
    )
