"""`nestbox detect`: ask the model that serves for the boxes in pictures."""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from nestbox.api.boxes import Box, Detection
from nestbox.api.drawing import draw
from nestbox.api.errors import ApiError
from nestbox.api.picture import ACCEPTED_TYPES, MAX_BYTES, TYPES, Picture, read_picture
from PIL import Image, ImageOps
from rich.markup import escape

from cli import credentials
from cli.errors import ApiRefusedError, CliError, UnusableError, UsageError
from cli.options import Commands, Parser, add_command, add_stack_options, count_from, dataset_name, share
from cli.output import console, number, plural, print_json, table
from cli.stack import find_stack

SENT_EDGE = 2048
"""Longer edge, in pixels, of pictures that are too large for the API and are shrunk before they are sent."""
TIMEOUT = 60
AT_A_TIME = 4


@dataclass(frozen=True)
class Answer:
    """What the API answered for one picture."""

    file: Path
    body: dict[str, Any]
    """As the API's JSON, boxes in pixels of the file as a person sees it."""

    @property
    def detections(self) -> list[Detection]:
        """The boxes, best first."""
        return [
            Detection(
                str(found["class"]),
                float(found["score"]),
                Box(*(float(found["box"][edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))),
            )
            for found in self.body["detections"]
        ]


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "detect",
        run,
        summary="Ask the model that serves a dataset for the boxes in pictures.",
        details="""
            The token comes from --token, NESTBOX_TOKEN or the one kept by `nestbox token create --save`. With
            --url no AWS rights are needed: the API's address and a token are enough.
        """,
        example="nestbox detect photo.jpg --dataset birds --out photo-boxes.jpg",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG or PNG files")
    parser.add_argument(
        "--dataset", type=dataset_name, help="whose model (default: the stack's only dataset)"
    )
    parser.add_argument("--threshold", type=share, help="lowest score, 0 to 1 (default: the model's own)")
    parser.add_argument("--max-boxes", type=count_from(1), metavar="N", help="at most N boxes to a picture")
    parser.add_argument(
        "--out", type=Path, metavar="FILE|FOLDER", help="write the pictures with their boxes drawn"
    )
    parser.add_argument("--token", help="token of the API (NESTBOX_TOKEN)")
    parser.add_argument(
        "--url", default=os.environ.get("NESTBOX_URL"), help="address of the API with its stage (NESTBOX_URL)"
    )
    add_stack_options(parser)


def run(options: argparse.Namespace) -> int:
    """Ask for every picture, print the boxes, draw them."""
    images: list[Path] = options.images
    for image in images:
        if not image.is_file():
            raise UnusableError(f"There is no file {image}.", "Name JPEG or PNG files.")
    targets = drawn_files(images, options.out) if options.out else {}
    url = options.url.rstrip("/") if options.url else find_stack(options).api_url
    token = find_token(url, options.token)
    parameters = {"threshold": options.threshold, "max_boxes": options.max_boxes}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        answers = list(pool.map(lambda image: ask(url, token, options.dataset, image, parameters), images))
    for answer in answers:
        if answer.file in targets:
            target = targets[answer.file]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(draw(_upright(answer.file), answer.detections))
    if options.json:
        print_json(
            [
                {
                    "file": str(answer.file),
                    "out": str(targets[answer.file]) if answer.file in targets else None,
                    **answer.body,
                }
                for answer in answers
            ]
        )
    else:
        _show(answers, targets)
    return 0


def find_token(url: str, given: str | None) -> str:
    """The token to use; raises UsageError where there is none."""
    token = given or os.environ.get("NESTBOX_TOKEN") or credentials.load(url)
    if not token:
        raise UsageError(
            f"There is no token for {url}.",
            "Give --token or NESTBOX_TOKEN, or make one: nestbox token create NAME --scope detect --save",
        )
    return token


def ask(url: str, token: str, dataset: str | None, image: Path, parameters: dict[str, Any]) -> Answer:
    """Send one picture; raises ApiRefusedError, UnusableError or CliError."""
    content, media_type, scale = _sendable(image)
    address = f"{url}/detect/{dataset}" if dataset else f"{url}/detect"
    try:
        response = requests.post(
            address,
            data=content,
            params={name: value for name, value in parameters.items() if value is not None},
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": media_type,
                "Accept": "application/json",
            },
            timeout=TIMEOUT,
        )
    except requests.RequestException as error:
        raise CliError(
            f"{address} cannot be reached: {error}", "Check the address and the network."
        ) from error
    if not response.ok:
        raise _refused(response, image)
    body = response.json()
    if scale != 1.0:
        _enlarge(body, scale)
    return Answer(image, body)


def drawn_files(images: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where each picture is written: into a folder, or the one picture as the file named."""
    if len(images) == 1 and not out.is_dir() and out.suffix.lower() in (".jpg", ".jpeg"):
        return {images[0]: out}
    if out.is_file() or (out.suffix.lower() in (".jpg", ".jpeg", ".png") and not out.is_dir()):
        raise UsageError(
            f"--out {out} is no folder.", "Name a folder; for one picture a .jpg file will do too."
        )
    targets: dict[Path, Path] = {}
    for image in images:
        stem, count = image.stem, 1
        while out / f"{stem}.jpg" in targets.values():
            count += 1
            stem = f"{image.stem}-{count}"
        targets[image] = out / f"{stem}.jpg"
    return targets


def _sendable(image: Path) -> tuple[bytes, str, float]:
    """Bytes, media type, and how many times the file is larger than what is sent."""
    content = image.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as opened:
            media_type = TYPES.get(opened.format or "", "")
            if media_type in ACCEPTED_TYPES and len(content) <= MAX_BYTES:
                return content, media_type, 1.0
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnusableError(
            f"{image} is no picture that can be opened: {error}", "Name JPEG or PNG files."
        ) from error
    width = upright.width
    upright.thumbnail((SENT_EDGE, SENT_EDGE), Image.Resampling.LANCZOS)
    shrunk = io.BytesIO()
    upright.save(shrunk, "JPEG", quality=92)
    return shrunk.getvalue(), "image/jpeg", width / upright.width


def _enlarge(body: dict[str, Any], scale: float) -> None:
    """Boxes of the shrunk picture as pixels of the file, in place."""
    body["image"] = {edge: round(length * scale) for edge, length in body["image"].items()}
    for found in body["detections"]:
        found["box"] = {edge: round(value * scale, 1) for edge, value in found["box"].items()}


def _upright(file: Path) -> Picture:
    content, _, _ = _sendable(file)
    try:
        return read_picture(content)
    except ApiError as error:
        raise UnusableError(f"{file}: {error.message}", error.hint) from error


def _refused(response: requests.Response, image: Path) -> CliError:
    try:
        told = response.json()["error"]
        message, hint = str(told["message"]), str(told.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        message, hint = response.text[:200] or response.reason, ""
    if response.status_code in (401, 403) and not hint:
        hint = "Make a token with scope detect: nestbox token create NAME --scope detect --save"
    return ApiRefusedError(f"{image}: {response.status_code} {message}", hint)


def _show(answers: Sequence[Answer], targets: dict[Path, Path]) -> None:
    out = console()
    for answer in answers:
        found = answer.detections
        width, height = answer.body["image"]["width"], answer.body["image"]["height"]
        out.print(
            f"[bold]{escape(str(answer.file))}[/] {width}x{height}: {plural(len(found), 'box')} "
            f"[dim]by {answer.body['run']}[/]"
        )
        if found:
            rows = [
                [
                    escape(detection.class_name),
                    number(detection.score, 2),
                    *(
                        f"{value:.0f}"
                        for value in (
                            detection.box.xmin,
                            detection.box.ymin,
                            detection.box.xmax,
                            detection.box.ymax,
                        )
                    ),
                ]
                for detection in found
            ]
            columns = ["score", "xmin", "ymin", "xmax", "ymax"]
            out.print(table(["class", *columns], rows, right=columns))
        if answer.file in targets:
            out.print(f"  drawn: {escape(str(targets[answer.file]))}")
