"""Pascal VOC: one XML file a picture, corners in pixels, 1-based and inclusive.

Newer tools write 0-based floats under the same names: a file with any fractional coordinate is read as such.
Elements are found by name, never by position, and `<path>` (the annotator's own disk) is ignored.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from posixpath import basename, dirname

from dataprep_job.dataset_files import PICTURE_EXTENSIONS, DatasetFiles, extension, split_of_folders, stem
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.labels import Box, Edges, LabelledImage, Split
from dataprep_job.lined_xml import Element, XmlError, XmlRefusedError, parse_xml
from dataprep_job.readers.reading import Reading

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_SPLIT_LISTS: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "validation"), ("test", "test"))
_PICTURE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")

Found = list[tuple[Place, str]]


class VocReader:
    """Reads every XML file whose root is `<annotation>` and which describes one picture."""

    name = "voc"

    def read(self, files: DatasetFiles, log: DefectLog) -> Reading | None:
        """Every VOC annotation of the dataset."""
        return _Dataset(files, log).read()


@dataclass(slots=True)
class _Harmless:
    """Mistakes that one tool makes in every file: reported together."""

    without_extension: Found = field(default_factory=list)
    mismatch: Found = field(default_factory=list)
    size_missing: Found = field(default_factory=list)


class _Dataset:
    """One pass over the XML files of a dataset."""

    def __init__(self, files: DatasetFiles, log: DefectLog) -> None:
        self._files = files
        self._log = log
        self._harmless = _Harmless()
        self._splits = _SplitLists(files, log)
        self._found = 0

    def read(self) -> Reading | None:
        reading = Reading()
        for file, data in self._files.read_many(self._files.unclaimed("xml")):
            self._read_file(file.path, data, reading)
        if not self._found:
            return None
        self._report_harmless()
        self._splits.report_unknown()
        reading.class_order = sorted({box.name for image in reading.images for box in image.boxes})
        return reading

    def _read_file(self, path: str, data: bytes, reading: Reading) -> None:
        try:
            root = parse_xml(data)
        except XmlError as error:
            # Broken XML is ours when it says so or belongs to a picture; otherwise nobody understands it.
            if b"<annotation>" in data[:65536] or self._files.pictures_with_stem(stem(path)):
                self._claim(path)
                code = "xml.dtd" if isinstance(error, XmlRefusedError) else "voc.bad-xml"
                where = f"line {error.line}" if error.line else None
                self._log.add(code, Place(path, where), str(error))
                reading.lost.append(self._choose(self._files.pictures_with_stem(stem(path)), path, "") or "")
            return
        if root.tag != "annotation" or not any(root.first(tag) for tag in ("object", "size", "filename")):
            return
        self._claim(path)
        image = self._picture_of(path, root)
        if image is None:
            reading.lost.append("")
            return
        boxes = self._boxes(path, root)
        if boxes is None:
            reading.lost.append(image)
            return
        reading.images.append(
            LabelledImage(
                image=image,
                boxes=boxes,
                declared_size=self._declared_size(path, root),
                split=self._splits.split_of(path, image),
                place=Place(path),
                format=VocReader.name,
            )
        )

    def _claim(self, path: str) -> None:
        self._found += 1
        self._files.claim(path)
        self._splits.meet(path)

    def _picture_of(self, path: str, root: Element) -> str | None:
        """The picture an annotation describes: the one of its own name, else the one it names."""
        written = root.text_of("filename") or ""
        named = basename(written.replace("\\", "/"))
        line = element.line if (element := root.first("filename")) else root.line
        place = at_line(path, line)
        if ".." in written.replace("\\", "/").split("/"):
            self._log.add("path.outside", place, f"<filename> {written[:200]!r} leads out of the dataset.")
            return None
        own = self._choose(self._files.pictures_with_stem(stem(path)), path, named)
        if own is not None:
            if named and named != basename(own):
                if named == stem(own):
                    self._harmless.without_extension.append((place, named))
                else:
                    self._harmless.mismatch.append((place, f"{named[:200]!r} in {path}"))
            return own
        if extension(named) in PICTURE_EXTENSIONS:
            candidates = self._files.pictures_named(named) or self._files.pictures_with_stem(stem(named))
        else:
            candidates = self._files.pictures_with_stem(named)
        chosen = self._choose(candidates, path, named) if named else None
        if chosen is None:
            wanted = f"{stem(path)}.jpg" + (
                f" or {named[:200]}" if named and stem(named) != stem(path) else ""
            )
            self._log.add("image.missing", place, f"The picture of {path} is missing: there is no {wanted}.")
        return chosen

    def _choose(self, candidates: list[str], path: str, named: str) -> str | None:
        """Of several pictures of one name, the one lying closest, then the one that <filename> spells out."""
        nearest = self._files.nearest(candidates, dirname(path))
        return min(
            nearest,
            key=lambda image: (
                basename(image) != named,
                basename(dirname(image)).lower() not in _PICTURE_FOLDERS,
                image,
            ),
            default=None,
        )

    def _declared_size(self, path: str, root: Element) -> tuple[int, int] | None:
        size = root.first("size")
        width = _number(size.text_of("width")) if size else None
        height = _number(size.text_of("height")) if size else None
        if width is None or height is None or width < 1 or height < 1:
            self._harmless.size_missing.append((at_line(path, size.line if size else root.line), path))
            return None
        return round(width), round(height)

    def _boxes(self, path: str, root: Element) -> tuple[Box, ...] | None:
        """The boxes in 0-based continuous pixels; None, with defects, where none of the objects is usable."""
        objects = list(root.all("object"))
        found = [(one, corners) for one in objects if (corners := self._corners(path, one)) is not None]
        if objects and not found:
            return None
        is_one_based = all(edge.is_integer() for _, corners in found for edge in corners)
        return tuple(
            Box(
                one.text_of("name") or "",
                _from_one_based(corners) if is_one_based else corners,
                at_line(path, one.line),
            )
            for one, corners in found
        )

    def _corners(self, path: str, element: Element) -> Edges | None:
        """The corners as written; None, with a defect, where the object is unusable."""
        place = at_line(path, element.line)
        name = element.text_of("name")
        if not name:
            self._log.add("voc.bad-object", place, "The object has no <name>.")
            return None
        bounds = element.first("bndbox")
        if bounds is None:
            self._log.add("voc.bad-object", place, f"The object {name[:80]!r} has no <bndbox>.")
            return None
        edges: list[float] = []
        for tag in _EDGES:
            text = bounds.text_of(tag)
            number = _number(text)
            if number is None:
                found = "missing" if text is None else repr(text[:40])
                message = f"<{tag}> of {name[:80]!r} is {found}, not a number."
                self._log.add("box.not-a-number", at_line(path, bounds.line), message)
                return None
            edges.append(number)
        return Edges(*edges)

    def _report_harmless(self) -> None:
        log, harmless = self._log, self._harmless
        log.add_together(
            "voc.filename-without-extension",
            harmless.without_extension,
            "<filename> lacks the extension: {subject}.",
        )
        log.add_together(
            "voc.filename-mismatch",
            harmless.mismatch,
            "<filename> names another picture than the file itself: {subject}.",
        )
        log.add_together("voc.size-missing", harmless.size_missing, "No usable <size> is given: {subject}.")


class _SplitLists:
    """`ImageSets/Main/{train,val,test}.txt` of every folder that has them; else folders named for splits."""

    def __init__(self, files: DatasetFiles, log: DefectLog) -> None:
        self._files = files
        self._log = log
        self._lists: dict[str, dict[str, tuple[Split, Place]]] = {}
        self._known: dict[str, set[str]] = defaultdict(set)
        roots = {
            dirname(dirname(dirname(path)))
            for name in ("train.txt", "val.txt", "test.txt", "trainval.txt")
            for path in files.named(name)
            if dirname(path).split("/")[-2:] == ["ImageSets", "Main"]
        }
        for root in sorted(roots):
            self._lists[root] = self._read(root)

    def meet(self, annotation: str) -> None:
        """Remember that an annotation exists, usable or not."""
        root = self._root_of(annotation)
        if root is not None:
            self._known[root].add(stem(annotation))

    def split_of(self, annotation: str, image: str) -> Split | None:
        """The split of a picture: by list where its folder has lists, otherwise by the folders around it."""
        root = self._root_of(annotation)
        if root is None:
            return split_of_folders(annotation) or split_of_folders(image)
        self._known[root].add(stem(image))
        entry = self._lists[root].get(stem(annotation)) or self._lists[root].get(stem(image))
        return None if entry is None else entry[0]

    def _root_of(self, annotation: str) -> str | None:
        """The nearest folder around an annotation that has split lists."""
        folder = annotation
        while folder:
            folder = dirname(folder)
            if folder in self._lists:
                return folder
        return None

    def report_unknown(self) -> None:
        """Names in the lists that no annotation answers to."""
        for root, entries in self._lists.items():
            known = self._known[root]
            found = [(place, name) for name, (_, place) in entries.items() if name not in known]
            self._log.add_together("split.unknown-image", found, "No annotation belongs to {subject}.")

    def _read(self, root: str) -> dict[str, tuple[Split, Place]]:
        entries: dict[str, tuple[Split, Place]] = {}
        main = f"{root}/ImageSets/Main/".lstrip("/")
        for file in self._files.unclaimed("txt"):
            if f"/{file.path}".startswith(f"/{root}/ImageSets/".replace("//", "/")):
                self._files.claim(file.path)
        for name, split in _SPLIT_LISTS:
            for place, picture in self._names(f"{main}{name}.txt"):
                self._note(entries, picture, split, place)
        if not any(split == "train" for split, _ in entries.values()):
            # Only trainval names training pictures: what is not held out elsewhere is trained on.
            for place, picture in self._names(f"{main}trainval.txt"):
                entries.setdefault(picture, ("train", place))
        return entries

    def _note(self, entries: dict[str, tuple[Split, Place]], name: str, split: Split, place: Place) -> None:
        earlier = entries.setdefault(name, (split, place))
        if earlier[0] == split:
            return
        kept = split if earlier[0] == "train" else earlier[0]
        entries[name] = (kept, place if kept == split else earlier[1])
        self._log.add(
            "split.conflict",
            place,
            f"{name} is named for {split} here and for {earlier[0]} in {earlier[1]}; {kept} holds.",
        )

    def _names(self, path: str) -> Iterator[tuple[Place, str]]:
        if path not in self._files.by_path:
            return
        for number, line in self._files.lines(path):
            name = line
            if not self._is_picture(name):
                # The official lists of one class add 1, -1 or 0 behind the name.
                first, _, rest = line.rpartition(" ")
                if rest in ("1", "-1", "0") and first:
                    name = first.rstrip()
            name = basename(name)
            yield at_line(path, number), stem(name) if extension(name) in PICTURE_EXTENSIONS else name

    def _is_picture(self, name: str) -> bool:
        return bool(self._files.pictures_with_stem(name))


def _number(text: str | None) -> float | None:
    """A finite number; None for anything else, also for the underscores that Python would accept."""
    if not text or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _from_one_based(corners: Edges) -> Edges:
    """From 1-based inclusive corners to 0-based edges.

    Corners that coincide are a slip of the mouse, not a box one pixel wide: they keep no area. Swapped
    corners stay swapped. The inspection reports both.
    """
    x0, y0, x1, y1 = corners
    return Edges(
        x0 - 1 if x0 < x1 else x0,
        y0 - 1 if y0 < y1 else y0,
        x1 - 1 if x1 < x0 else x1,
        y1 - 1 if y1 < y0 else y1,
    )
