"""CVAT XML 1.1: one file a task or project, with `<image>`s ("for images") or `<track>`s ("for video").

Corners are in pixels, 0-based and fractional, in the frame in which CVAT showed the picture.
https://docs.cvat.ai/docs/manual/advanced/xml_format/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dataprep_job.catalogue import Groups
from dataprep_job.dataset_files import DatasetFiles, split_of_folders
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.labels import Box, Edges, LabelledImage, Split
from dataprep_job.lined_xml import Element, XmlError, XmlRefusedError
from dataprep_job.readers.cvat_pictures import CvatPictures
from dataprep_job.readers.cvat_shapes import SHAPES, ShapeReader, Shapes
from dataprep_job.readers.json_values import picture_size
from dataprep_job.readers.reading import Findings

_NO_SPLIT = frozenset(("", "default"))
_FRAME = re.compile(r"[0-9]{1,9}")


class CvatFiles:
    """Reads every XML file that it is given whose root is `<annotations>`."""

    name = "cvat"
    opened = frozenset(("track",))
    """A track holds a shape for every frame of a video: too many to gather."""

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._files = files
        self._log = log
        self._findings = findings
        self._pictures = CvatPictures(files, log)
        self._labels: dict[str, None] = {}

    def read(self, path: str, elements: Iterable[tuple[Element, Element]]) -> None:
        """Read one file from the finished children of its root, and of its tracks."""
        file = _File(path, self._files, self._log, self._findings, self._pictures)
        file.read(elements)
        self._labels.update(dict.fromkeys(file.labels))

    def read_broken(self, path: str, error: XmlError) -> None:
        """Note that a file which should be CVAT's is no XML from its start, or refused."""
        _File(path, self._files, self._log, self._findings, self._pictures).fail(error)

    def finish(self) -> None:
        """Say what is known once every file has been read."""
        self._findings.order_classes(self._labels)


@dataclass(frozen=True, slots=True)
class _Task:
    """What `<meta>` says about one task.

    Attributes:
        size: of the frames of its video, if it is one.
        start: its first frame.
        stop: its last frame, None where that is not said.
    """

    subset: str = ""
    size: tuple[int, int] | None = None
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all tracks together say about one frame of a video."""

    task_id: str
    number: int
    subset: str
    shapes: Shapes
    place: Place


class _File:
    """One CVAT file."""

    def __init__(
        self, path: str, files: DatasetFiles, log: DefectLog, findings: Findings, pictures: CvatPictures
    ) -> None:
        self.labels: list[str] = []
        self._path = path
        self._files = files
        self._log = log
        self._findings = findings
        self._pictures = pictures
        self._shapes = ShapeReader(path, log)
        self._size_missing = log.bundle("cvat.size-missing", "No usable width and height: {subject}.")
        self._unknown_subset = log.bundle("cvat.unknown-subset", "This subset is no split: {subject}.")
        self._tasks: dict[str, _Task] = {}
        self._task = _Task()
        self._is_claimed = False
        self._video: Groups | None = None

    def read(self, elements: Iterable[tuple[Element, Element]]) -> None:
        try:
            for parent, element in elements:
                self._read_element(parent, element)
        except XmlError as error:
            self.fail(error)
        else:
            self._read_video()
        if self._video is not None:
            self._video.drop()

    def fail(self, error: XmlError) -> None:
        """Note that the file is damaged. Frames of a video are lost: what follows may concern all of them."""
        self._claim()
        code = "xml.dtd" if isinstance(error, XmlRefusedError) else "cvat.bad-xml"
        self._log.add(code, Place(self._path, f"line {error.line}" if error.line else None), str(error))
        if self._video is None:
            self._findings.lose(None)
        for frame in self._frames():
            found = self._pictures.candidates(frame.number, frame.subset, self._path)
            self._findings.lose(found[0] if len(found) == 1 else None)

    def _read_element(self, parent: Element, element: Element) -> None:
        if parent.tag == "track":
            self._claim()
            self._read_tracked(parent, element)
        elif element.tag == "image":
            self._claim()
            self._read_image(element)
        elif element.tag == "meta":
            self._claim()
            self._read_meta(element)

    def _claim(self) -> None:
        if not self._is_claimed:
            self._is_claimed = True
            self._findings.recognise(CvatFiles.name)
            self._files.claim(self._path)

    def _read_meta(self, meta: Element) -> None:
        """Labels, and per task its subset and its video. A project's export lists its tasks in itself."""
        for owner in meta.children:
            labels = owner.first("labels")
            if labels is not None:
                # A label with a <parent> is one point of a skeleton.
                named = (
                    label.text_of("name") for label in labels.all("label") if not label.text_of("parent")
                )
                self.labels += [name for name in named if name]
            tasks = owner.first("tasks")
            if tasks is not None:
                self._tasks |= {task.text_of("id") or "": _task(task, meta) for task in tasks.all("task")}
            elif owner.tag in ("task", "job"):
                self._task = _task(owner, meta)

    def _read_image(self, element: Element) -> None:
        place = at_line(self._path, element.line)
        attributes = element.attributes
        name = attributes.get("name", "").strip()
        if not name:
            self._log.add("cvat.bad-image", place, "The <image> has no name.")
            self._findings.lose(None)
            return
        subset = self._subset(element)
        image = self._pictures.named(name, subset, place)
        shapes = Shapes()
        for child in element.children:
            self._shapes.read(child, child.attributes.get("label", ""), shapes)
        size = picture_size(attributes.get("width"), attributes.get("height"))
        self._add(image, shapes, size, subset, place)

    def _add(
        self, image: str | None, shapes: Shapes, size: tuple[int, int] | None, subset: str, place: Place
    ) -> None:
        """Hand on one picture; one whose shapes are all unusable is lost."""
        if image is None or (shapes.bad and not shapes.boxes):
            self._findings.lose(image)
            return
        if size is None:
            self._size_missing.add(place, str(place))
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=tuple(shapes.boxes),
                declared_size=size,
                split=self._split_of(subset, image, place),
                place=place,
                format=CvatFiles.name,
            )
        )

    def _task_of(self, element: Element) -> _Task:
        return self._tasks.get(_task_id(element), self._task)

    def _subset(self, element: Element) -> str:
        return element.attributes.get("subset", "").strip() or self._task_of(element).subset

    def _split_of(self, subset: str, image: str, place: Place) -> Split | None:
        split = split_of_folders(f"{subset}/")
        if split is not None:
            return split
        if subset.lower() not in _NO_SPLIT:
            self._unknown_subset.add(place, repr(subset[:80]))
        return split_of_folders(image) or split_of_folders(self._path)

    def _read_tracked(self, track: Element, element: Element) -> None:
        """Keep what a track says about one frame: tracks come one after the other, each over many frames."""
        if element.tag not in SHAPES:
            return
        written = element.attributes.get("frame", "").strip()
        if not _FRAME.fullmatch(written):
            message = f"The {element.tag} is on frame {written[:40]!r}, which is no number."
            self._log.add("cvat.bad-shape", at_line(self._path, element.line), message)
            return
        shapes = Shapes()
        if element.attributes.get("outside", "").strip() != "1":
            self._shapes.read(element, track.attributes.get("label", ""), shapes)
        if self._video is None:
            self._video = self._files.groups(10)
        task_id, frame = _task_id(track), int(written)
        name, edges = (shapes.boxes[0].name, shapes.boxes[0].edges) if shapes.boxes else (None, (None,) * 4)
        key = f"{task_id}\n{frame:09d}"
        self._video.add(key, task_id, frame, self._subset(track), element.line, shapes.bad, name, *edges)

    def _frames(self) -> Iterator[_Frame]:
        """The frames of every task in order."""
        for _, rows in self._video or ():
            shapes = Shapes(bad=sum(row[4] for row in rows))
            for _, _, _, line, _, name, *edges in rows:
                if name is not None:
                    shapes.boxes.append(Box(name, Edges(*edges), at_line(self._path, line)))
            task_id, frame, subset, line = rows[0][:4]
            yield _Frame(task_id, frame, subset, shapes, at_line(self._path, line))

    def _read_video(self) -> None:
        """Pair the frames with pictures, once all tracks are known."""
        if self._video is None:
            return
        if not any(
            self._pictures.candidates(frame.number, frame.subset, self._path) for frame in self._frames()
        ):
            self._refuse_video("The file labels frames of a video, and there are no pictures of them.")
            return
        task_id, task, is_shifted = None, self._task, False
        for frame in self._frames():
            if frame.task_id != task_id:
                task_id = frame.task_id
                task = self._tasks.get(task_id, self._task)
                is_shifted = self._is_shifted(task, frame)
                if is_shifted:
                    self._refuse_video(
                        "CVAT counts frames from 0; these pictures seem to be numbered from 1."
                    )
            if not is_shifted:
                self._read_frame(frame, task)

    def _read_frame(self, frame: _Frame, task: _Task) -> None:
        is_empty = not frame.shapes.boxes and not frame.shapes.bad
        if is_empty and not self._pictures.candidates(frame.number, frame.subset, self._path):
            return
        image = self._pictures.of_frame(frame.number, frame.subset, frame.place)
        self._add(image, frame.shapes, task.size, frame.subset, frame.place)

    def _is_shifted(self, task: _Task, first: _Frame) -> bool:
        """Whether pictures were numbered from 1, as video tools do: each would get its neighbour's boxes."""

        def has(frame: int) -> bool:
            return bool(self._pictures.candidates(frame, first.subset, self._path))

        if task.start or has(0) or not has(1):
            return False
        return first.number == 0 if task.stop is None else has(task.stop + 1)

    def _refuse_video(self, why: str) -> None:
        self._log.add("cvat.video", Place(self._path), why)
        self._findings.lose(None)


def _task(element: Element, meta: Element) -> _Task:
    frame = element.first("original_size") or meta.first("original_size")
    stop, count = _count(element.text_of("stop_frame")), _count(element.text_of("size"))
    return _Task(
        subset=element.text_of("subset") or "",
        size=picture_size(frame.text_of("width"), frame.text_of("height")) if frame else None,
        start=_count(element.text_of("start_frame")) or 0,
        stop=count - 1 if stop is None and count else stop,
    )


def _count(text: str | None) -> int | None:
    return int(text) if text and _FRAME.fullmatch(text) else None


def _task_id(element: Element) -> str:
    return (element.attributes.get("task_id") or element.attributes.get("task") or "").strip()
