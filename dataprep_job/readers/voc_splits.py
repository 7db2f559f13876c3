"""Pascal VOC's split lists: `ImageSets/Main/{train,val,test}.txt`, a picture a line, without extension."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from posixpath import basename, dirname

from dataprep_job.dataset_files import PICTURE_EXTENSIONS, DatasetFiles, extension, split_of_folders, stem
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.labels import Split

_SPLIT_LISTS: tuple[tuple[str, Split], ...] = (
    ("train", "train"),
    ("val", "validation"),
    ("valid", "validation"),
    ("validation", "validation"),
    ("test", "test"),
)
_TRAINVAL = "trainval"


class VocSplitLists:
    """The lists of every folder that has them; elsewhere folders named for splits.

    Lists in `ImageSets` itself are read where `ImageSets/Main` has none, and `valid.txt` is `val.txt`. They
    can name millions of pictures, so their entries are kept outside memory. Of several entries of one picture
    the last one counts.
    """

    def __init__(self, files: DatasetFiles, log: DefectLog) -> None:
        self._files = files
        self._log = log
        self._entries = files.groups(3)
        self._entries.index()
        self._known = files.groups(1)
        self._known.index()
        self._roots: dict[str, str] = {}
        """Folders of the lists, by the folder around `ImageSets`."""
        for name in (*dict(_SPLIT_LISTS), _TRAINVAL):
            for path in files.named(f"{name}.txt"):
                folder = dirname(path)
                root = _root(folder)
                if root is not None and basename(folder) == "Main":
                    self._roots[root] = folder
                elif root is not None and _is_image_sets(basename(folder)):
                    self._roots.setdefault(root, folder)
        for root in sorted(self._roots):
            self._read(root)

    def meet(self, annotation: str) -> None:
        """Remember that an annotation exists, usable or not."""
        root = self._root_of(annotation)
        if root is not None:
            self._known.add(_key(root, stem(annotation)), None)

    def split_of(self, annotation: str, image: str) -> Split | None:
        """The split of a picture: by list where its folder has lists, otherwise by the folders around it."""
        root = self._root_of(annotation)
        if root is None:
            return split_of_folders(annotation) or split_of_folders(image)
        names = dict.fromkeys((stem(annotation), stem(image)))
        self._known.add(_key(root, stem(image)), None)
        return next((entry[0] for name in names if (entry := self._entry(root, name))), None)

    def _root_of(self, annotation: str) -> str | None:
        """The nearest folder around an annotation that has split lists."""
        folder = annotation
        while folder:
            folder = dirname(folder)
            if folder in self._roots:
                return folder
        return None

    def report_unknown(self) -> None:
        """Names in the lists that no annotation answers to."""
        unknown = (
            (place, key.partition("\n")[2])
            for key, split, place in self._listed()
            if not self._known.get(key) and self._entries.get(key)[-1] == (split, *place)
        )
        self._log.add_together("split.unknown-image", unknown, "No annotation belongs to {subject}.")
        self._entries.drop()
        self._known.drop()

    def _listed(self) -> Iterator[tuple[str, Split, Place]]:
        for key, split, file, where in self._entries.in_order():
            yield key, split, Place(file, where)

    def _entry(self, root: str, name: str) -> tuple[Split, Place] | None:
        rows = self._entries.get(_key(root, name))
        if not rows:
            return None
        split, file, where = rows[-1]
        return split, Place(file, where)

    def _read(self, root: str) -> None:
        folder = self._roots[root]
        self._files.claim_below(dirname(folder) if basename(folder) == "Main" else folder, "txt")
        training = 0
        for name, split in _SPLIT_LISTS:
            for place, picture in self._names(f"{folder}/{name}.txt"):
                training += self._note(root, picture, split, place)
        if not training:
            # Only trainval names training pictures: what is not held out elsewhere is trained on.
            for place, picture in self._names(f"{folder}/{_TRAINVAL}.txt"):
                if self._entry(root, picture) is None:
                    self._entries.add(_key(root, picture), "train", *place)

    def _note(self, root: str, name: str, split: Split, place: Place) -> int:
        """Keep one entry; by how many it changes the number of training pictures."""
        earlier = self._entry(root, name)
        if earlier is None:
            self._entries.add(_key(root, name), split, *place)
            return int(split == "train")
        if earlier[0] == split:
            return 0
        kept = split if earlier[0] == "train" else earlier[0]
        if kept == split:
            self._entries.add(_key(root, name), split, *place)
        self._log.add(
            "split.conflict",
            place,
            f"{name} is named for {split} here and for {earlier[0]} in {earlier[1]}; {kept} holds.",
        )
        return -int(kept == split)

    def _names(self, path: str) -> Iterator[tuple[Place, str]]:
        if not self._files.has(path):
            return
        for line_number, line in self._files.lines(path):
            name = line
            if not self._is_picture(name):
                # The official lists of one class add 1, -1 or 0 behind the name.
                first, _, rest = line.rpartition(" ")
                if rest in ("1", "-1", "0") and first:
                    name = first.rstrip()
            name = basename(name)
            yield at_line(path, line_number), stem(name) if extension(name) in PICTURE_EXTENSIONS else name

    def _is_picture(self, name: str) -> bool:
        return bool(self._files.pictures_with_stem(name))


def _root(folder: str) -> str | None:
    """The folder around `ImageSets`, which may be an archive; None where it is in none."""
    parts = folder.split("/")
    at = next((at for at, part in enumerate(parts) if _is_image_sets(part)), None)
    return None if at is None else "/".join(parts[:at])


def _is_image_sets(folder: str) -> bool:
    return folder.removesuffix(".zip") == "ImageSets"


def _key(root: str, name: str) -> str:
    return f"{root}\n{name if name.isascii() else unicodedata.normalize('NFC', name)}"
