"""Working directories of jobs and endpoints, and the environment their processes get."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from local.endpoint import Credentials, Endpoint

# What a process needs of the machine it runs on; everything else of the server's environment stays here.
_MACHINE_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Scratch:
    """Directories under one root; each is removed by whoever made it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def make(self, kind: str, name: str) -> Path:
        """A new, empty directory `{root}/{kind}/{name}`."""
        directory = self._root / kind / name
        self.remove(directory)
        directory.mkdir(parents=True)
        return directory

    def remove(self, directory: Path) -> None:
        """Removes a directory with all it holds, if it is there."""
        shutil.rmtree(directory, ignore_errors=True)

    def clear(self) -> None:
        """Removes what an earlier server left."""
        shutil.rmtree(self._root, ignore_errors=True)


def process_environment(
    directory: Path,
    endpoint: Endpoint,
    region: str,
    credentials: Credentials | None,
    *variables: Mapping[str, str],
) -> dict[str, str]:
    """The environment of a process in `directory`; later variables win.

    Without credentials (a job without a role) the SDKs find none anywhere, as in a task without a role.
    """
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {name: os.environ[name] for name in _MACHINE_VARIABLES if name in os.environ}
    environment |= {
        "HOME": str(directory),
        "TMPDIR": str(temporary),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    for group in variables:
        environment |= group
    if credentials is not None:
        environment |= credentials.environment()
    return environment
