"""Which pictures train and which are held out. The data's own split wins; held out once stays held out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from posixpath import splitext

from dataprep_job.catalogue import Catalogue
from dataprep_job.defects import DefectLog, Place
from dataprep_job.held_out import HeldOutImage
from dataprep_job.labels import Split

_ROBOFLOW_COPY = re.compile(r"\.rf\.[0-9A-Za-z]{16,}$")


def group_of(image: str) -> str:
    """What copies of one photo share: the path without extension and Roboflow's `.rf.<hash>`.

    Folders named after splits are kept, so that two photos of one name in two folders stay two photos.
    """
    name = splitext(image)[0]
    return _ROBOFLOW_COPY.sub("", name) if ".rf." in name else name


def photo_of(image: str) -> str | None:
    """The name of the photo that one of Roboflow's augmented copies shows, without its folders; else None."""
    bare = splitext(image)[0]
    name = _ROBOFLOW_COPY.sub("", bare)
    return None if name == bare else name.rpartition("/")[2]


def share_of(group: str) -> float:
    """A number from 0 up to 1 that depends on nothing but the name; the lowest ones are held out.

    Copies of one photo have the share of its name, so that they never straddle in whatever folders they lie.
    """
    return int.from_bytes(hashlib.sha256(b"nestbox split\n" + group.encode()).digest()[:8], "big") / 2**64


def record_id(image: str) -> int:
    """The id of a picture's record: an even number below 2^63 that depends on nothing but its path.

    Packing sorts by it, which shuffles pictures the same way on every machine and in every run; an upload
    moves no other picture. The mirrored copy has the next odd number. Two of a million pictures share an id
    with a chance of one in nine million.
    """
    digest = hashlib.sha256(b"nestbox order\n" + image.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2 << 1


_SCHEMA = """
CREATE TABLE plan (
    image TEXT PRIMARY KEY, record INTEGER, id INTEGER, "group" TEXT, share REAL, named TEXT, split TEXT
) WITHOUT ROWID;
CREATE TABLE held_images (path TEXT, "group" TEXT, digest BLOB, split TEXT);
CREATE TABLE held_paths (path TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
CREATE TABLE held_groups ("group" TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
CREATE TABLE held_digests (digest BLOB PRIMARY KEY, split TEXT) WITHOUT ROWID;
CREATE TABLE held_photos (photo TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
"""

_HELD_BY: dict[str, Callable[[HeldOutImage], str | bytes | None]] = {
    "held_paths": lambda image: image.path,
    "held_groups": lambda image: image.group,
    "held_digests": lambda image: image.digest,
    "held_photos": lambda image: photo_of(image.path),
}
_BATCH = 500

_IS_COPY = "plan.image LIKE '%.rf.%'"
"""Leaves only few others, for which `photo_of` is asked."""

_UNDECIDED = 'SELECT DISTINCT "group", share FROM plan WHERE split IS NULL'


class Splitting:
    """The table `plan` of a catalogue: every picture that is going to be opened, with its split."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._database = catalogue.database
        for statement in filter(None, map(str.strip, _SCHEMA.split(";"))):
            self._database.execute(statement)
        self._database.create_function("photo_of", 1, photo_of, deterministic=True)

    def add(self, images: Iterable[tuple[str, int, Split | None]]) -> None:
        """Plan pictures: path, `records.seq` of its labels, and the split that the data names."""
        self._database.executemany("INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?)", map(_planned, images))

    def hold_out(self, images: Iterable[HeldOutImage]) -> None:
        """Take over what the previous preparation held out."""
        waiting = iter(images)
        while batch := list(islice(waiting, _BATCH)):
            self._database.executemany("INSERT INTO held_images VALUES (?, ?, ?, ?)", batch)
            for table, key_of in _HELD_BY.items():
                rows = [(key_of(image), image.split) for image in batch]
                self._database.executemany(
                    f"INSERT OR REPLACE INTO {table} VALUES (?, ?)",  # noqa: S608
                    [row for row in rows if row[0] is not None],
                )

    def choose(self, validation: float, log: DefectLog) -> bool:
        """Give every planned picture its split.

        Rules, in this order: held out before stays held out; the split that the data names; where the data
        names a test split but no validation, test is the validation split; where a picture has no split, it
        has that of the held-out copies of its photo, if there are any; where it names no held-out split at
        all, or a picture has none, a share of the groups chosen by hash is held out.

        Args:
            validation: the share to hold out where the data does not say.
            log: receives what people should know about it.

        Returns:
            Whether the validation split has to judge runs as well, as there is no test split.
        """
        named: set[str] = {
            split for (split,) in self._database.execute("SELECT DISTINCT named FROM plan") if split
        }
        has_both = {"validation", "test"} <= named
        if not has_both:
            self._database.execute("UPDATE plan SET split = 'validation' WHERE split = 'test'")
        if named == {"train"}:
            count = self._catalogue.one("SELECT count(*) FROM plan WHERE named IS NOT NULL")
            message = f"All {count:,} pictures with a split are for training; {validation:.0%} are held out."
            log.add("split.made-from-train", Place(""), message)
            self._database.execute("UPDATE plan SET split = NULL")
        if named:
            log.add_together("split.unlisted", self._places("named IS NULL"), "No split names {subject}.")
        if named & {"validation", "test"}:
            self._hold_out_copies()
        self._split_by_hash(validation, may_be_empty=bool(named & {"validation", "test"}))
        self._keep_held_out(log)
        self._warn_of_straddling_copies(log)
        if not has_both:
            self._database.execute("UPDATE plan SET split = 'validation' WHERE split = 'test'")
        self._database.execute("CREATE INDEX plan_in_order ON plan (split, id, image)")
        return self._catalogue.one("SELECT 1 FROM plan WHERE split = 'test' LIMIT 1") is None

    def _split_by_hash(self, validation: float, *, may_be_empty: bool) -> None:
        groups, held = self._database.execute(
            f"SELECT count(*), total(share < ?) FROM ({_UNDECIDED})",  # noqa: S608
            (validation,),
        ).fetchone()
        limit = validation
        if not may_be_empty and groups > 1:
            # The hash may by bad luck hold out none of a few pictures, or all of them.
            wanted = min(max(int(held), round(groups * validation / 2), 1), groups - 1)
            if wanted != held:
                limit = self._catalogue.one(
                    f"SELECT share FROM ({_UNDECIDED}) ORDER BY share LIMIT 1 OFFSET ?",  # noqa: S608
                    (wanted,),
                )
        self._database.execute(
            "UPDATE plan SET split = CASE WHEN share < ? THEN 'validation' ELSE 'train' END "
            "WHERE split IS NULL",
            (limit,),
        )

    def _hold_out_copies(self) -> None:
        """Hold out what no split names where another copy of the same photo is held out."""
        query = f"SELECT 1 FROM plan WHERE named IS NULL AND {_IS_COPY} LIMIT 1"  # noqa: S608
        if self._catalogue.one(query) is None:
            return
        self._database.execute(
            "CREATE TABLE held_copies AS SELECT photo_of(image) AS photo, min(split) AS split FROM plan "  # noqa: S608
            f"WHERE named IS NOT NULL AND split != 'train' AND {_IS_COPY} GROUP BY photo"
        )
        self._database.execute("CREATE INDEX held_copies_by_photo ON held_copies (photo)")
        self._database.execute(
            "UPDATE plan SET split = (SELECT split FROM held_copies WHERE photo = photo_of(image)) "  # noqa: S608
            f"WHERE named IS NULL AND {_IS_COPY}"
        )

    def _keep_held_out(self, log: DefectLog) -> None:
        if self._catalogue.one("SELECT 1 FROM held_paths LIMIT 1") is None:
            return
        was_held = (
            "plan.split = 'train' AND (plan.image IN (SELECT path FROM held_paths) "  # noqa: S608
            'OR "group" IN (SELECT "group" FROM held_groups) '
            f"OR (named IS NULL AND {_IS_COPY} AND photo_of(plan.image) IN (SELECT photo FROM held_photos)))"
        )
        log.add_together(
            "split.held-out-kept",
            self._places(f"named = 'train' AND {was_held}"),
            "Held out by an earlier run, and still: {subject}.",
        )
        self._database.execute(
            "UPDATE plan SET split = coalesce((SELECT split FROM held_paths WHERE path = image), "  # noqa: S608
            '(SELECT split FROM held_groups WHERE held_groups."group" = plan."group"), '
            f"(SELECT split FROM held_photos WHERE photo = photo_of(image))) WHERE {was_held}"
        )

    def _warn_of_straddling_copies(self, log: DefectLog) -> None:
        rows = self._database.execute(
            "SELECT photo_of(image) AS photo, split, min(image), count(*) FROM plan "  # noqa: S608
            f"WHERE {_IS_COPY} GROUP BY photo, split HAVING photo IS NOT NULL ORDER BY photo, split"
        )
        for photo, parts in groupby(rows, key=itemgetter(0)):
            splits = list(parts)
            if len(splits) > 1:
                images = tuple(first for _, _, first, _ in splits)
                copies = "; ".join(
                    f"{first}{f' and {count - 1} more' if count > 1 else ''} in {split}"
                    for _, split, first, count in splits
                )
                message = f"Copies of the photo {photo} are in several splits: {copies}."
                log.add("image.copies-across-splits", Place(images[0]), message, images)

    def _places(self, condition: str) -> Iterator[tuple[Place, str]]:
        rows = self._database.execute(
            'SELECT plan.image, file, "where" FROM plan JOIN records ON seq = record '  # noqa: S608
            f"WHERE {condition} ORDER BY plan.image"
        )
        return ((Place(file, where), image) for image, file, where in rows)


def _planned(
    image: tuple[str, int, Split | None],
) -> tuple[str, int, int, str, float, Split | None, Split | None]:
    path, record, named = image
    is_copy = ".rf." in path
    folder, slash, name = path.rpartition("/")
    before, _, _ = name.rpartition(".")
    # As `group_of`, but for names that begin with dots.
    group = group_of(path) if is_copy or not before.strip(".") else folder + slash + before
    photo = photo_of(path) if is_copy else None
    return path, record, record_id(path), group, share_of(photo or group), named, named
