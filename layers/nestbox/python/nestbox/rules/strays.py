"""Uploads that belong to no dataset: what an operator is told about them."""

from dataclasses import dataclass

from nestbox.bucket_layout import DATASETS, folder_of_upload
from nestbox.names import DATASET_NAME_RULE, is_dataset_name

_LONGEST_FOLDER = 200


@dataclass(frozen=True)
class Stray:
    """A place that holds uploads which go nowhere."""

    code: str
    folder: str
    message: str
    hint: str


def find_stray(key: str) -> Stray | None:
    """What is wrong with where an object is, or None where it is in a dataset.

    Said once for a folder, not for each object in it.
    """
    folder = folder_of_upload(key)
    if folder is not None and is_dataset_name(folder):
        return None
    if folder is not None:
        return Stray(
            "bad-dataset-name",
            _shortened(f"{DATASETS}{folder}/"),
            f"{folder[:_LONGEST_FOLDER]!r} is no dataset name, so nothing in this folder is used",
            f"upload into a folder named with {DATASET_NAME_RULE}",
        )
    if key.startswith(DATASETS):
        return Stray(
            "no-dataset-folder",
            DATASETS,
            "files directly under datasets/ belong to no dataset and are not used",
            "upload into datasets/NAME/",
        )
    top, slash, _rest = key.partition("/")
    return Stray(
        "outside-datasets",
        _shortened(top + slash) if slash else "/",
        "files outside datasets/ are not used",
        "upload into datasets/NAME/",
    )


def _shortened(folder: str) -> str:
    return folder if len(folder) <= _LONGEST_FOLDER else folder[:_LONGEST_FOLDER] + "…"
