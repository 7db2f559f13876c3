"""Pascal VOC: one XML file a picture, corners in pixels, 1-based and inclusive.

Newer tools count from 0 under the same names, up to the edge behind the last pixel. A fraction, or a left or
top of 0, shows that a file counts from 0. Where neither shows, the other files of its source tell: the files
of one folder, and of folders that differ from it only in the name of a split (`train/Annotations` and
`valid/Annotations`), come from one tool. Where one of them has a 0, or most have fractions, all count from 0;
otherwise they count from 1, as the format says.

Elements are found by name, never by position, and `<path>` (the annotator's own disk) is ignored.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from posixpath import basename, dirname

from dataprep_job.dataset_files import PICTURE_EXTENSIONS, DatasetFiles, extension, split_of_folders, stem
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.labels import Box, Edges, LabelledImage, Split
from dataprep_job.lined_xml import Element, XmlError, XmlRefusedError
from dataprep_job.readers.json_values import number, picture_size
from dataprep_job.readers.reading import Findings
from dataprep_job.readers.voc_splits import VocSplitLists
from dataprep_job.spelling import name_before_upload, plain

MAX_OBJECTS = 100_000

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_PICTURE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")


class VocFiles:
    """Reads every XML file that it is given whose root is `<annotation>` and which describes one picture."""

    name = "voc"

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._files = files
        self._log = log
        self._findings = findings
        self._without_extension = log.bundle(
            "voc.filename-without-extension", "<filename> lacks the extension: {subject}."
        )
        self._mismatch = log.bundle(
            "voc.filename-mismatch", "<filename> names another picture than the file itself: {subject}."
        )
        self._size_missing = log.bundle("voc.size-missing", "No usable <size> is given: {subject}.")
        self._splits = VocSplitLists(files, log)
        self._names: set[str] = set()
        self._undecided = files.groups(8)
        self._signs = files.groups(3)
        self._source = ""
        self._seen = [0, 0, 0]
        """Files of the current source: with a 0, with fractions, with neither."""

    def read(self, path: str, root: Element, elements: Iterable[tuple[Element, Element]]) -> None:
        """Read one file, whose root is `<annotation>`, from the finished children of that root."""
        parts = _Parts(root.line)
        try:
            for _, element in elements:
                self._read_part(path, element, parts)
        except XmlError as error:
            self.read_broken(path, error)
            return
        if not parts.objects and parts.size is None and parts.filename is None:
            return
        self._claim(path)
        image = self._picture_of(path, parts)
        if image is None or (parts.objects and not parts.found):
            self._findings.lose(image)
            return
        self._names.update(name for name, _, _ in parts.found)
        size, split = self._declared_size(path, parts), self._splits.split_of(path, image)
        sign = 0 if parts.has_zero else 1 if parts.has_fraction else 2
        if parts.found:
            self._count(_source_of(path), sign)
        if parts.found and sign == 2:
            self._wait(path, image, split, size, parts)
            return
        boxes = [Box(name, corners, at_line(path, line)) for name, corners, line in parts.found]
        self._add(path, image, split, size, boxes)

    def _add(
        self, path: str, image: str, split: Split | None, size: tuple[int, int] | None, boxes: list[Box]
    ) -> None:
        place = Place(path)
        self._findings.add(LabelledImage(image, tuple(boxes), size, split, place, self.name))

    def _count(self, source: str, sign: int) -> None:
        """Note what a file of a source shows; files of one source mostly come one after the other."""
        if source != self._source:
            self._signs.add(self._source, *self._seen)
            self._source, self._seen = source, [0, 0, 0]
        self._seen[sign] += 1

    def _is_zero_based(self, source: str) -> bool:
        rows = self._signs.get(source)
        zeros, fractions, wholes = (sum(row[at] for row in rows) for at in range(3))
        return bool(zeros > 0 or fractions > wholes)

    def _wait(
        self, path: str, image: str, split: Split | None, size: tuple[int, int] | None, parts: _Parts
    ) -> None:
        """Put a picture aside, outside memory, until it is known what its source counts from."""
        names, corners, lines = zip(*parts.found, strict=True)
        edges = array("d", [edge for each in corners for edge in each]).tobytes()
        texts = json.dumps(names), json.dumps(lines)
        self._undecided.add(_source_of(path), path, image, split, *(size or (None, None)), *texts, edges)

    def _add_undecided(self) -> None:
        self._signs.add(self._source, *self._seen)
        self._signs.index()
        for source, *row in self._undecided.in_order():
            path, image, split, width, height, names, lines, data = row
            is_zero_based = self._is_zero_based(source)
            edges = array("d", data)
            boxes = []
            for at, (name, line) in enumerate(zip(json.loads(names), json.loads(lines), strict=True)):
                corners = Edges(*edges[4 * at : 4 * at + 4])
                if not is_zero_based:
                    corners = _from_one_based(corners)
                boxes.append(Box(name, corners, at_line(path, line)))
            self._add(path, image, split, None if width is None else (width, height), boxes)
        self._undecided.drop()
        self._signs.drop()

    def read_broken(self, path: str, error: XmlError) -> None:
        """Note that a file which should be an annotation is no XML, or refused."""
        self._claim(path)
        code = "xml.dtd" if isinstance(error, XmlRefusedError) else "voc.bad-xml"
        self._log.add(code, Place(path, f"line {error.line}" if error.line else None), str(error))
        own = self._fitting(stem(path), path, "")
        self._findings.lose(own[0] if len(own) == 1 else None)

    def finish(self) -> None:
        """Say what is known once every file has been read."""
        self._add_undecided()
        self._splits.report_unknown()
        self._findings.order_classes(sorted(self._names))

    def _read_part(self, path: str, element: Element, parts: _Parts) -> None:
        if element.tag == "object":
            parts.objects += 1
            if parts.objects > MAX_OBJECTS:
                raise XmlError(f"The file holds more than {MAX_OBJECTS:,} objects.", element.line)
            corners = self._corners(path, element)
            if corners is not None:
                parts.found.append((element.text_of("name") or "", corners, element.line))
        elif element.tag == "size":
            parts.size = parts.size or element
        elif element.tag == "filename":
            parts.filename = parts.filename or element

    def _claim(self, path: str) -> None:
        self._findings.recognise(self.name)
        self._files.claim(path)
        self._splits.meet(path)

    def _picture_of(self, path: str, parts: _Parts) -> str | None:
        """The picture an annotation describes: the one of its own name, else the one it names."""
        written = parts.filename.text if parts.filename else ""
        named = basename(written.replace("\\", "/"))
        place = at_line(path, parts.filename.line if parts.filename else parts.line)
        if ".." in written.replace("\\", "/").split("/"):
            self._log.add("path.outside", place, f"<filename> {written[:200]!r} leads out of the dataset.")
            return None
        for name in dict.fromkeys((stem(path), name_before_upload(stem(path)) or "")):
            own = self._fitting(name, path, named) if name else []
            if own:
                break
        if len(own) == 1:
            self._note_name(named, own[0], path, place)
            return own[0]
        found = own
        if named and not own:
            is_complete = extension(named) in PICTURE_EXTENSIONS
            exact = self._free(self._files.pictures_named(named), path) if is_complete else []
            bare = stem(named) if is_complete else named
            found = self._closest(exact, path, named) or self._fitting(bare, path, named)
        if len(found) == 1:
            self._files.note_spelling(written, found[0], place)
            return found[0]
        if found:
            message = f"{path} can belong to any of {len(found)}: {', '.join(found[:3])}."
            self._log.add("image.ambiguous", place, message)
            return None
        other = f" or {named[:200]}" if named and stem(named) != stem(path) else ""
        why = f"there is no {stem(path)}.jpg{other}"
        if self._files.pictures_with_stem(stem(path)):
            why = f"each {stem(path)}.jpg that is there has a nearer annotation"
        message = f"The picture of {path} is missing: {why}."
        self._log.add("image.missing", place, message)
        return None

    def _note_name(self, named: str, own: str, path: str, place: Place) -> None:
        """Warn where <filename> says something else than the name of the picture that is used."""
        if not named or named == basename(own):
            return
        if (name_before_upload(named) or named) == stem(own):
            self._without_extension.add(place, named)
        elif plain(named) == plain(basename(own)):
            self._files.note_spelling(named, own, place)
        else:
            self._mismatch.add(place, f"{named[:200]!r} in {path}")

    def _fitting(self, name: str, path: str, named: str) -> list[str]:
        """The pictures of this name before the extension that an annotation can mean."""
        return self._closest(self._free(self._files.pictures_with_stem(name), path), path, named)

    def _free(self, images: list[str], path: str) -> list[str]:
        return [image for image in images if self._is_free(image, path)]

    def _is_free(self, image: str, path: str) -> bool:
        """Whether a picture that lies elsewhere has no nearer annotation of the same name."""
        folder, other = dirname(path), dirname(image)
        if folder == other or dirname(folder) == dirname(other):
            return True
        rivals = [rival for rival in self._files.named(basename(path)) if rival != path]
        return not rivals or path in self._files.related([path, *rivals], image)

    def _closest(self, candidates: list[str], path: str, named: str) -> list[str]:
        """Of several pictures of one name the likeliest; among those the one that <filename> spells out."""
        related = self._files.related(candidates, path)
        if len(related) < 2:
            return related
        ranks = {
            image: (basename(image) == named, _folder_of(image) in _PICTURE_FOLDERS) for image in related
        }
        best = max(ranks.values())
        return self._files.likeliest([image for image in related if ranks[image] == best], path)

    def _declared_size(self, path: str, parts: _Parts) -> tuple[int, int] | None:
        size = parts.size
        declared = picture_size(size.text_of("width"), size.text_of("height")) if size else None
        if declared is None:
            self._size_missing.add(at_line(path, size.line if size else parts.line), path)
        return declared

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
            edge = number(text)
            if edge is None:
                found = "missing" if text is None else repr(text[:40])
                message = f"<{tag}> of {name[:80]!r} is {found}, not a number."
                self._log.add("box.not-a-number", at_line(path, bounds.line), message)
                return None
            edges.append(edge)
        return Edges(*edges)


@dataclass(slots=True)
class _Parts:
    """What one file has said so far.

    Attributes:
        line: of the root.
        objects: how many there are.
        found: name, corners as written, and line of those that can be used.
    """

    line: int
    filename: Element | None = None
    size: Element | None = None
    objects: int = 0
    found: list[tuple[str, Edges, int]] = field(default_factory=list)

    @property
    def has_fraction(self) -> bool:
        """Whether any coordinate is no whole number."""
        return not all(edge.is_integer() for _, corners, _ in self.found for edge in corners)

    @property
    def has_zero(self) -> bool:
        """Whether the left or top of a box is 0, which nobody who counts from 1 writes."""
        return any(
            corners.x0 == 0 < corners.x1 or corners.y0 == 0 < corners.y1 for _, corners, _ in self.found
        )


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


def _source_of(annotation: str) -> str:
    """The folder of an annotation without the folders that are named for splits."""
    folders = dirname(annotation).split("/")
    return "/".join(folder for folder in folders if split_of_folders(f"{folder}/") is None)


def _folder_of(image: str) -> str:
    return basename(dirname(image)).lower().removesuffix(".zip")
