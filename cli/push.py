"""`nestbox push`: bring a dataset in the uploads bucket up to what a folder holds."""

from __future__ import annotations

import argparse
import hashlib
import mimetypes
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from nestbox import timestamps
from nestbox.bucket_layout import READY_MARKER, dataset_prefix, is_ready_marker
from nestbox.tables import find_dataset

from cli import check, watch
from cli.errors import CliError, UnusableError
from cli.following import Expected
from cli.options import (
    Commands,
    Parser,
    add_command,
    add_stack_options,
    count_from,
    dataset_name,
    existing_folder,
)
from cli.output import console, duration, plural, print_json, print_json_line, size
from cli.progress import counting, transferring
from cli.stack import Stack, find_stack, transfer_config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 64 * 1024 * 1024
"""Larger files go up in parts of this size, which also shapes their ETag."""
AT_A_TIME = 16
DELETES_AT_A_TIME = 1000

_CLUTTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX", "__pycache__"})
_LISTING_SUFFIXES = frozenset(
    {".txt", ".xml", ".json", ".jsonl", ".csv", ".yaml", ".yml", ".manifest", ".lst"}
)


@dataclass(frozen=True)
class LocalFile:
    """A file of the folder."""

    path: Path
    key: str
    """Within the dataset, with slashes."""
    size: int


@dataclass(frozen=True)
class RemoteObject:
    """An object of the dataset."""

    size: int
    etag: str
    """Without quotes."""


@dataclass(frozen=True)
class Plan:
    """What differs. `changed` are in the order in which they should go up."""

    changed: Sequence[LocalFile]
    unchanged: Sequence[LocalFile]
    gone: Sequence[str]
    """Keys (within the dataset) of objects that the folder has no file for."""


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    dataset: str
    uploaded: int
    unchanged: int
    deleted: int
    kept: int
    """Objects that the folder has no file for and that stay, as --delete was not given."""
    bytes: int
    seconds: float
    ready: bool


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "push",
        run,
        summary="Check a folder and upload what changed; the run starts by itself.",
        details="""
            Checks first (see `nestbox check`) and uploads nothing where nothing could be trained. Compares by
            size and MD5, uploads several files at a time, annotations last. A run starts once nothing has
            arrived for the quiet period, or at once with --ready.

            exit codes: 0 uploaded, 2 the folder is unusable, 1 the upload failed (push again: it goes on
            where it stopped); with --watch those of `nestbox watch`
        """,
        example="nestbox push birds birds --ready --watch",
    )
    parser.add_argument("folder", type=existing_folder, metavar="FOLDER", help="images and annotations")
    parser.add_argument(
        "dataset",
        type=dataset_name,
        metavar="DATASET",
        help="name of the dataset: letters a-z, digits, hyphens",
    )
    parser.add_argument(
        "--delete", action="store_true", help="delete objects that the folder has no file for"
    )
    parser.add_argument(
        "--ready", action="store_true", help="start the run at once, without the quiet period"
    )
    parser.add_argument("--watch", action="store_true", help="then follow the run as `nestbox watch` does")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--no-check", action="store_true", help="upload without checking first")
    parser.add_argument(
        "--jobs",
        type=count_from(1),
        default=AT_A_TIME,
        metavar="N",
        help=f"uploads at a time (default: {AT_A_TIME})",
    )
    add_stack_options(parser)


def run(options: argparse.Namespace) -> int:
    """Check, compare, upload."""
    stack = find_stack(options)
    out = console()
    if not options.no_check:
        report = check.examine(options.folder, quiet=options.json)
        if report.blocked:
            raise UnusableError(
                f"Nothing could be trained from {options.folder}: {' '.join(report.blocked)}",
                f"Mend it, then push again. Details: nestbox check {options.folder}",
            )
        if not options.json:
            summary = f"{plural(report.usable_images, 'usable image')}, {plural(report.boxes, 'box')}"
            found = report.errors + report.warnings
            trouble = f", {plural(found, 'defect')} (nestbox check {options.folder})" if found else ""
            out.print(f"checked: {summary}{trouble}")
    before = find_dataset(options.dataset)
    expected = Expected(before.last_run if before else None, timestamps.now())
    plan = compare(stack, options.folder, options.dataset, jobs=options.jobs)
    if options.dry_run:
        return _show_plan(options, plan)
    pushed = push(
        stack,
        plan,
        options.dataset,
        delete=options.delete,
        ready=options.ready,
        jobs=options.jobs,
        quiet=options.json,
    )
    if not options.json:
        _show(pushed)
    elif options.watch:
        print_json_line({"event": "pushed", **asdict(pushed)})
    else:
        print_json(asdict(pushed))
    if not options.watch:
        return 0
    return watch.follow(
        stack,
        options.dataset,
        expected=expected if pushed.uploaded or pushed.deleted else None,
        as_json=options.json,
        timeout=None,
    )


def list_folder(folder: Path) -> list[LocalFile]:
    """Every file that belongs to the dataset, sorted; hidden files and system clutter are left out."""
    found: list[LocalFile] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not _is_clutter(name))
        for name in sorted(names):
            path = Path(place) / name
            if not _is_clutter(name) and not is_ready_marker(name) and path.is_file():
                found.append(LocalFile(path, path.relative_to(folder).as_posix(), path.stat().st_size))
    return found


def list_objects(s3: S3Client, bucket: str, dataset: str) -> dict[str, RemoteObject]:
    """Every object of the dataset by its key within it, the marker `_READY` left out."""
    prefix = dataset_prefix(dataset)
    found: dict[str, RemoteObject] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            key = item["Key"].removeprefix(prefix)
            if key and not is_ready_marker(item["Key"]):
                found[key] = RemoteObject(item["Size"], item["ETag"].strip('"'))
    return found


def differences(
    local: Iterable[LocalFile], remote: Mapping[str, RemoteObject], etag_of: Callable[[LocalFile], str]
) -> Plan:
    """Compare by size first and by ETag only where sizes agree. Annotations go up last, so that no run sees
    them without their images."""
    changed: list[LocalFile] = []
    unchanged: list[LocalFile] = []
    keys: set[str] = set()
    for file in local:
        keys.add(file.key)
        there = remote.get(file.key)
        same = there is not None and there.size == file.size and there.etag == etag_of(file)
        (unchanged if same else changed).append(file)
    changed.sort(key=lambda file: (file.path.suffix.lower() in _LISTING_SUFFIXES, file.key))
    return Plan(changed, unchanged, sorted(remote.keys() - keys))


def etag(file: LocalFile) -> str:
    """The ETag that S3 gives this file when `push` uploads it (without KMS encryption)."""
    with file.path.open("rb") as stream:
        if file.size < PART_BYTES:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        parts = [
            hashlib.md5(part, usedforsecurity=False).digest()
            for part in iter(lambda: stream.read(PART_BYTES), b"")
        ]
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def compare(stack: Stack, folder: Path, dataset: str, jobs: int = AT_A_TIME) -> Plan:
    """What differs between a folder and a dataset; raises UnusableError where the folder holds no file."""
    local = list_folder(folder)
    if not local:
        raise UnusableError(f"{folder} holds no files.", "Name the folder that holds images and annotations.")
    remote = list_objects(_s3(stack), stack.uploads_bucket, dataset)
    candidates = [file for file in local if file.key in remote and remote[file.key].size == file.size]
    with ThreadPoolExecutor(jobs) as pool:
        etags = dict(zip((file.key for file in candidates), pool.map(etag, candidates), strict=True))
    return differences(local, remote, lambda file: etags[file.key])


def push(
    stack: Stack,
    plan: Plan,
    dataset: str,
    *,
    delete: bool,
    ready: bool,
    jobs: int = AT_A_TIME,
    quiet: bool = False,
) -> Pushed:
    """Upload, delete if asked, and write the marker last if asked. Raises CliError."""
    began = time.monotonic()
    s3 = _s3(stack)
    bucket, prefix = stack.uploads_bucket, dataset_prefix(dataset)
    total = sum(file.size for file in plan.changed)
    media = [file for file in plan.changed if file.path.suffix.lower() not in _LISTING_SUFFIXES]
    listings = [file for file in plan.changed if file.path.suffix.lower() in _LISTING_SUFFIXES]
    with transferring("uploading", total, quiet=quiet) as advance:
        for files in (media, listings):
            _upload(s3, bucket, prefix, files, jobs, advance)
    gone = list(plan.gone) if delete else []
    if gone:
        with counting("deleting", len(gone), quiet=quiet) as step:
            _delete(s3, bucket, prefix, gone, step)
    if ready:
        s3.put_object(Bucket=bucket, Key=prefix + READY_MARKER, Body=b"")
    return Pushed(
        dataset=dataset,
        uploaded=len(plan.changed),
        unchanged=len(plan.unchanged),
        deleted=len(gone),
        kept=len(plan.gone) - len(gone),
        bytes=total,
        seconds=round(time.monotonic() - began, 3),
        ready=ready,
    )


def _upload(
    s3: S3Client,
    bucket: str,
    prefix: str,
    files: Sequence[LocalFile],
    jobs: int,
    advance: Callable[[int], None],
) -> None:
    transfer = TransferConfig(
        multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
    )

    def upload(file: LocalFile) -> None:
        kind = mimetypes.guess_type(file.path.name)[0] or "application/octet-stream"
        s3.upload_file(
            str(file.path),
            bucket,
            prefix + file.key,
            ExtraArgs={"ContentType": kind},
            Callback=advance,
            Config=transfer,
        )

    pool = ThreadPoolExecutor(jobs)
    waiting: dict[Future[None], LocalFile] = {pool.submit(upload, file): file for file in files}
    try:
        for future, file in waiting.items():
            try:
                future.result()
            except (S3UploadFailedError, ClientError, BotoCoreError, OSError) as error:
                done = sum(
                    other.done() and not other.cancelled() and not other.exception() for other in waiting
                )
                raise CliError(
                    f"Uploading {file.key} failed after {plural(done, 'file')}: {error}",
                    "Push again: what is already there is not sent twice.",
                ) from error
    finally:
        # After an error or Ctrl-C nothing more is started.
        pool.shutdown(cancel_futures=True)


def _delete(s3: S3Client, bucket: str, prefix: str, keys: Sequence[str], step: Callable[[], None]) -> None:
    for start in range(0, len(keys), DELETES_AT_A_TIME):
        batch = keys[start : start + DELETES_AT_A_TIME]
        answer = s3.delete_objects(
            Bucket=bucket, Delete={"Objects": [{"Key": prefix + key} for key in batch], "Quiet": True}
        )
        for refused in answer.get("Errors", []):
            raise CliError(
                f"Deleting {refused.get('Key')} failed: {refused.get('Code')} {refused.get('Message')}",
                "The caller needs s3:DeleteObject on the uploads bucket; push again.",
            )
        for _ in batch:
            step()


def _s3(stack: Stack) -> S3Client:
    return stack.session.client("s3", config=transfer_config())


def _show_plan(options: argparse.Namespace, plan: Plan) -> int:
    deleted = plan.gone if options.delete else []
    if options.json:
        print_json(
            {
                "dataset": options.dataset,
                "upload": [file.key for file in plan.changed],
                "unchanged": len(plan.unchanged),
                "delete": list(deleted),
                "bytes": sum(file.size for file in plan.changed),
            }
        )
        return 0
    out = console()
    for file in plan.changed:
        out.print(f"upload {file.key} ({size(file.size)})", markup=False)
    for key in deleted:
        out.print(f"delete {key}", markup=False)
    out.print(
        f"{plural(len(plan.changed), 'file')} to upload, {len(plan.unchanged)} unchanged, "
        f"{len(deleted)} to delete"
    )
    return 0


def _show(pushed: Pushed) -> None:
    out = console()
    if not pushed.uploaded and not pushed.deleted:
        out.print(
            f"{plural(pushed.unchanged, 'file')}, none changed: nothing to upload, and no run will start"
        )
    else:
        parts = [
            f"{plural(pushed.uploaded, 'file')} uploaded ({size(pushed.bytes)} in {duration(pushed.seconds)})"
        ]
        parts.append(f"{pushed.unchanged} unchanged")
        if pushed.deleted:
            parts.append(f"{pushed.deleted} deleted")
        out.print(", ".join(parts))
        out.print(
            "the run starts " + ("now" if pushed.ready else "once nothing has arrived for the quiet period")
        )
        out.print(f"next: nestbox watch {pushed.dataset}")
    if pushed.kept:
        out.print(f"{plural(pushed.kept, 'object')} without a file in the folder stay; --delete removes them")


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name in _CLUTTER
