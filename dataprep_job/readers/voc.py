"""Pascal VOC: one XML file a picture, corners in pixels, 1-based and inclusive.

Newer tools write 0-based floats under the same names: a file with any fractional coordinate is read as such.
Elements are found by name, never by position, and `<path>` (the annotator's own disk) is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from posixpath import basename, dirname

from dataprep_job.dataset_files import PICTURE_EXTENSIONS, DatasetFiles, extension, split_of_folders, stem
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.labels import Box, Edges, LabelledImage, Split
from dataprep_job.lined_xml import Element, XmlError, XmlRefusedError
from dataprep_job.readers.json_values import number, picture_size
from dataprep_job.readers.reading import Findings

MAX_OBJECTS = 100_000

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_SPLIT_LISTS: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "validation"), ("test", "test"))
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
        self._splits = _SplitLists(files, log)
        self._names: set[str] = set()

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
        boxes = parts.boxes(path)
        self._names.update(box.name for box in boxes)
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=boxes,
                declared_size=self._declared_size(path, parts),
                split=self._splits.split_of(path, image),
                place=Place(path),
                format=self.name,
            )
        )

    def read_broken(self, path: str, error: XmlError) -> None:
        """Note that a file which should be an annotation is no XML, or refused."""
        self._claim(path)
        code = "xml.dtd" if isinstance(error, XmlRefusedError) else "voc.bad-xml"
        self._log.add(code, Place(path, f"line {error.line}" if error.line else None), str(error))
        self._findings.lose(self._choose(self._files.pictures_with_stem(stem(path)), path, ""))

    def finish(self) -> None:
        """Say what is known once every file has been read."""
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
        own = self._choose(self._files.pictures_with_stem(stem(path)), path, named)
        if own is not None:
            if named and named != basename(own):
                if named == stem(own):
                    self._without_extension.add(place, named)
                else:
                    self._mismatch.add(place, f"{named[:200]!r} in {path}")
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

    def boxes(self, path: str) -> tuple[Box, ...]:
        """The boxes in 0-based continuous pixels."""
        is_one_based = all(edge.is_integer() for _, corners, _ in self.found for edge in corners)
        return tuple(
            Box(name, _from_one_based(corners) if is_one_based else corners, at_line(path, line))
            for name, corners, line in self.found
        )


class _SplitLists:
    """`ImageSets/Main/{train,val,test}.txt` of every folder that has them; else folders named for splits.

    Lists can name millions of pictures, so their entries are kept outside memory. Of several entries of one
    picture the last one counts.
    """

    def __init__(self, files: DatasetFiles, log: DefectLog) -> None:
        self._files = files
        self._log = log
        self._entries = files.groups(3)
        self._entries.index()
        self._known = files.groups(1)
        self._known.index()
        self._roots = {
            dirname(dirname(dirname(path)))
            for name in ("train.txt", "val.txt", "test.txt", "trainval.txt")
            for path in files.named(name)
            if dirname(path).split("/")[-2:] == ["ImageSets", "Main"]
        }
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
        main = f"{root}/ImageSets/Main/".lstrip("/")
        for file in self._files.unclaimed("txt"):
            if f"/{file.path}".startswith(f"/{root}/ImageSets/".replace("//", "/")):
                self._files.claim(file.path)
        training = 0
        for name, split in _SPLIT_LISTS:
            for place, picture in self._names(f"{main}{name}.txt"):
                training += self._note(root, picture, split, place)
        if not training:
            # Only trainval names training pictures: what is not held out elsewhere is trained on.
            for place, picture in self._names(f"{main}trainval.txt"):
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


def _key(root: str, name: str) -> str:
    return f"{root}\n{name}"


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
