"""Pictures named in tables and lists: with or without extension, in a file that belongs to one split."""

from __future__ import annotations

from posixpath import basename

from dataprep_job.dataset_files import PICTURE_EXTENSIONS, DatasetFiles, extension, split_of_folders
from dataprep_job.defects import Place
from dataprep_job.labels import Split


def find_picture(files: DatasetFiles, reference: str, annotation: str, split: Split | None) -> list[str]:
    """The pictures that a reference fits best, sorted.

    Args:
        files: the dataset.
        reference: a path or name; Open Images and others write it without the extension.
        annotation: the file that it stands in.
        split: what the annotation is for; tells pictures of one name in several folders apart.
    """
    found = files.find(reference, annotation)
    name = basename(reference.strip().replace("\\", "/"))
    if not found and name and extension(name) not in PICTURE_EXTENSIONS:
        found = files.related(files.pictures_with_stem(name), annotation)
    if len(found) > 1 and split is not None:
        found = [path for path in found if split_of_folders(path) == split] or found
    return found


def locate_picture(files: DatasetFiles, reference: str, place: Place, split: Split | None) -> str | None:
    """The picture that a reference means (see `find_picture`); None, with a defect, for none or several."""
    return files.decide(find_picture(files, reference, place.file, split), reference, place)
