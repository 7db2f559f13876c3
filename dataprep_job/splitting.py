"""Which pictures train and which are held out. The data's own split wins; held out once stays held out."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import splitext

from dataprep_job.defects import DefectLog, Place
from dataprep_job.held_out import HeldOut
from dataprep_job.labels import LabelledImage, Split

_ROBOFLOW_COPY = re.compile(r"\.rf\.[0-9A-Za-z]{16,}$")


def group_of(image: str) -> str:
    """What copies of one photo share: the path without extension and Roboflow's `.rf.<hash>`.

    Folders named after splits are kept, so that two photos of one name in two folders stay two photos.
    """
    name = splitext(image)[0]
    return _ROBOFLOW_COPY.sub("", name)


def is_copy(image: str) -> bool:
    """Whether the name is one that Roboflow gives to augmented copies."""
    return _ROBOFLOW_COPY.search(splitext(image)[0]) is not None


def share_of(group: str) -> float:
    """A number from 0 up to 1 that depends on nothing but the group's name; the lowest ones are held out."""
    return int.from_bytes(hashlib.sha256(b"nestbox split\n" + group.encode()).digest()[:8], "big") / 2**64


def order_of(image: str) -> bytes:
    """A sort key that shuffles pictures the same way on every machine and in every run."""
    return hashlib.sha256(b"nestbox order\n" + image.encode()).digest()


@dataclass(frozen=True, slots=True)
class SplitChoice:
    """The split of every picture by path, and whether the validation split has to judge runs as well."""

    splits: Mapping[str, Split]
    validation_is_test: bool


def choose_splits(
    images: Sequence[LabelledImage], earlier: HeldOut, validation: float, log: DefectLog
) -> SplitChoice:
    """Give every picture its split.

    Rules, in this order: held out before stays held out; the split that the data names; where the data names
    a test split but no validation, test is the validation split; where it names no held-out split at all, or
    a picture has none, a share of the groups chosen by hash is held out.

    Args:
        images: labelled pictures, one record each.
        earlier: what the previous preparation held out.
        validation: the share to hold out where the data does not say.
        log: receives what had to be decided against or without the data's word.
    """
    named = {image.image: image.split for image in images if image.split is not None}
    has_validation, has_test = "validation" in named.values(), "test" in named.values()
    if has_test and not has_validation:
        named = {image: "validation" if split == "test" else split for image, split in named.items()}
    splits: dict[str, Split] = dict(named)
    if not has_validation and not has_test:
        if named:
            message = (
                f"All {len(named):,} pictures with a split are for training; {validation:.0%} are held out."
            )
            log.add("split.made-from-train", Place(""), message)
        splits = {}
    unlisted = [image for image in images if image.image not in splits]
    splits |= _hash_splits([image.image for image in unlisted], validation, may_be_empty=bool(splits))
    if named and splits.keys() - named.keys():
        found = [(image.place, image.image) for image in unlisted if image.image not in named]
        log.add_together("split.unlisted", found, "No split names {subject}.")
    _keep_held_out(images, splits, named, earlier, log)
    _warn_of_straddling_copies(images, splits, log)
    if not (has_validation and has_test):
        splits = {image: "validation" if split == "test" else split for image, split in splits.items()}
    return SplitChoice(splits, validation_is_test="test" not in splits.values())


def _hash_splits(images: Sequence[str], validation: float, *, may_be_empty: bool) -> dict[str, Split]:
    groups = sorted({group_of(image) for image in images}, key=share_of)
    held = sum(share_of(group) < validation for group in groups)
    if not may_be_empty and len(groups) > 1:
        # The hash may by bad luck hold out none of a few pictures, or all of them.
        held = min(max(held, round(len(groups) * validation / 2), 1), len(groups) - 1)
    held_groups = set(groups[:held])
    return {image: "validation" if group_of(image) in held_groups else "train" for image in images}


def _keep_held_out(
    images: Sequence[LabelledImage],
    splits: dict[str, Split],
    named: Mapping[str, Split],
    earlier: HeldOut,
    log: DefectLog,
) -> None:
    against_the_data: list[tuple[Place, str]] = []
    for image in images:
        kept = earlier.paths.get(image.image) or earlier.groups.get(group_of(image.image))
        if kept is None or splits[image.image] != "train":
            continue
        splits[image.image] = kept
        if named.get(image.image) == "train":
            against_the_data.append((image.place, image.image))
    log.add_together(
        "split.held-out-kept", against_the_data, "Held out by an earlier run, and still: {subject}."
    )


def _warn_of_straddling_copies(
    images: Sequence[LabelledImage], splits: Mapping[str, Split], log: DefectLog
) -> None:
    by_group: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in images:
        if is_copy(image.image):
            by_group[group_of(image.image).rpartition("/")[2]].append(image)
    straddling = [
        (copies[0].place, f"{group} ({len(copies)} copies)")
        for group, copies in by_group.items()
        if len({splits[copy.image] for copy in copies}) > 1
    ]
    log.add_together(
        "image.copies-across-splits", straddling, "Copies of one photo are in several splits: {subject}."
    )
