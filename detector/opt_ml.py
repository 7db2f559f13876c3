"""The folder tree that SageMaker lays out in a container, `/opt/ml`, and what each file in it means."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detector.errors import ChannelError

_CONTENT_TYPES = frozenset({"", "application/x-recordio", "application/recordio"})
# SageMaker shows the first 1024 characters of the failure file as the job's FailureReason.
_FAILURE_CHARACTERS = 1024


@dataclass(frozen=True)
class OptMl:
    """Paths under the root, and readers for what SageMaker writes there."""

    root: Path

    @property
    def model(self) -> Path:
        """The folder that becomes `model.tar.gz` after training and holds its content when serving."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path | None:
        """The folder kept across spot interruptions; None when the job was started without one."""
        folder = self.root / "checkpoints"
        return folder if folder.is_dir() else None

    @property
    def failure(self) -> Path:
        """The file whose text becomes the job's failure reason."""
        return self.root / "output" / "failure"

    def hyperparameters(self) -> dict[str, str]:
        """Return the hyperparameters as given, all strings. Raises ChannelError if they cannot be read."""
        return {name: _as_string(value) for name, value in self._config("hyperparameters").items()}

    def host(self) -> str:
        """Return this machine's name in the training cluster, `algo-1` when nothing says otherwise."""
        return str(self._config("resourceconfig", required=False).get("current_host", "algo-1"))

    def hosts(self) -> int:
        """Return how many machines train together."""
        hosts = self._config("resourceconfig", required=False).get("hosts", ["algo-1"])
        return len(hosts) if isinstance(hosts, list) else 1

    def records(self, channel: str) -> list[Path]:
        """Return a channel's .rec files in name order. Raises ChannelError if that is unfit."""
        folder = self.root / "input" / "data" / channel
        config = self._config("inputdataconfig", required=False).get(channel)
        if isinstance(config, Mapping):
            content_type = str(config.get("ContentType") or "").split(";")[0].strip().lower()
            if content_type not in _CONTENT_TYPES:
                raise ChannelError(
                    [f"channel '{channel}' has content type {content_type}; give application/x-recordio"]
                )
            if config.get("TrainingInputMode") == "Pipe":
                raise ChannelError([f"channel '{channel}' is in Pipe mode; use File or FastFile mode"])
        if folder.exists() and not folder.is_dir():
            raise ChannelError(
                [f"channel '{channel}' is a file; give the S3 prefix that holds the .rec file"]
            )
        if not folder.is_dir():
            raise ChannelError(
                [f"channel '{channel}' is missing: the job needs the channels 'train' and 'validation'"]
            )
        files = sorted(path for path in folder.rglob("*.rec") if path.is_file())
        if not files:
            raise ChannelError([f"channel '{channel}' holds no .rec file; give its prefix one RecordIO file"])
        return files

    def previous_model(self) -> Path | None:
        """Return the `model` channel's folder, or None when the job was started without that channel.

        Raises ChannelError when it is no folder.
        """
        folder = self.root / "input" / "data" / "model"
        if folder.exists() and not folder.is_dir():
            raise ChannelError(["channel 'model' is a file; give the S3 prefix that holds model.tar.gz"])
        return folder if folder.is_dir() and any(folder.iterdir()) else None

    def write_failure(self, reason: str) -> None:
        """Write the failure reason, shortened to what SageMaker shows."""
        self.failure.parent.mkdir(parents=True, exist_ok=True)
        if len(reason) > _FAILURE_CHARACTERS:
            reason = reason[: _FAILURE_CHARACTERS - 1] + "…"
        self.failure.write_text(reason, encoding="utf-8")

    def _config(self, name: str, *, required: bool = True) -> dict[str, object]:
        path = self.root / "input" / "config" / f"{name}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if required:
                raise ChannelError([f"input/config/{name}.json is missing under {self.root}"]) from None
            return {}
        except OSError as error:
            raise ChannelError([f"input/config/{name}.json cannot be read: {error.strerror}"]) from error
        except ValueError as error:
            raise ChannelError([f"input/config/{name}.json is no JSON: {error}"]) from error
        if not isinstance(content, dict):
            raise ChannelError([f"input/config/{name}.json must hold a JSON object"])
        return content


def _as_string(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
