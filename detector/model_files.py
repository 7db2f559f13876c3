"""The files of a model and where they lie: in a folder, or in `model.tar.gz`."""

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.description import DESCRIPTION_FILE
from detector.errors import ArtefactError

SYMBOL_FILE = "detector-symbol.json"
PARAMETERS_FILE = "detector-0000.params"
ONNX_FILE = "detector.onnx"
ARCHIVE_FILE = "model.tar.gz"

_FILES = (DESCRIPTION_FILE, SYMBOL_FILE, PARAMETERS_FILE, ONNX_FILE)


@contextmanager
def model_folder(place: Path) -> Iterator[Path]:
    """Give the folder that holds a model's files, for as long as it is needed.

    place: an archive under any name, a folder that holds `model.tar.gz`, or one that holds its content.
    Raises ArtefactError where there is no model of ours.
    """
    if place.is_file():
        archive = place
    elif place.is_dir():
        archives = sorted(place.rglob(ARCHIVE_FILE))
        if not archives:
            descriptions = sorted(place.rglob(DESCRIPTION_FILE))
            if not descriptions:
                raise ArtefactError(f"{place} holds neither {ARCHIVE_FILE} nor {DESCRIPTION_FILE}")
            yield descriptions[0].parent
            return
        archive = archives[0]
    else:
        raise ArtefactError(f"{place} does not exist; a model is a folder or its {ARCHIVE_FILE}")
    with tempfile.TemporaryDirectory() as name:
        yield _unpack(archive, Path(name))


def _unpack(archive: Path, folder: Path) -> Path:
    try:
        with tarfile.open(archive, "r:gz") as opened:
            members = [member for member in opened if Path(member.name).name in _FILES]
            opened.extractall(folder, members, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ArtefactError(f"{archive.name} cannot be unpacked: {error}") from error
    found = sorted(folder.rglob(DESCRIPTION_FILE))
    if not found:
        raise ArtefactError(f"{archive.name} was made by another algorithm: it holds no {DESCRIPTION_FILE}")
    return found[0].parent
