"""`nestbox sample`: draw a labelled dataset."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

from cli.drawing.cub import BLOCK, write_dataset
from cli.errors import UnusableError
from cli.options import Commands, Parser, add_command, count_from
from cli.output import console, duration, plural, print_json
from cli.progress import counting

DEFAULT_IMAGES = 240
DEFAULT_SEED = 7


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "sample",
        run,
        summary="Draw a labelled dataset: birds of five species, with tight boxes.",
        details="""
            Robins, jays, gulls, goldfinches and mallards, perched, standing, flying and swimming, in six
            kinds of scene. One picture in five is held out. The layout is that of CUB-200-2011, with
            several boxes to a picture. The same seed draws the same bytes, and more pictures keep the
            first ones.
        """,
        example="nestbox sample birds --images 240\nnestbox push birds birds --watch",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to write; made if missing")
    parser.add_argument(
        "--images",
        type=count_from(BLOCK),
        default=DEFAULT_IMAGES,
        metavar="N",
        help=f"number of pictures, at least {BLOCK} (default: {DEFAULT_IMAGES})",
    )
    parser.add_argument(
        "--seed", type=count_from(0), default=DEFAULT_SEED, metavar="S", help=f"default: {DEFAULT_SEED}"
    )
    parser.add_argument("--force", action="store_true", help="write into a folder that is not empty")


def run(options: argparse.Namespace) -> int:
    """Draw, and say what was drawn."""
    folder: Path = options.folder
    if folder.exists() and not folder.is_dir():
        raise UnusableError(f"{folder} is a file.", "Name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not options.force:
        raise UnusableError(f"{folder} is not empty.", "Name another folder, or write into it with --force.")
    began = time.monotonic()
    with counting("drawing", options.images, quiet=options.json) as advance:
        drawn = write_dataset(folder, options.images, options.seed, advance)
    seconds = time.monotonic() - began
    if options.json:
        print_json({"folder": str(folder), "seed": options.seed, **asdict(drawn)})
        return 0
    out = console()
    out.print(
        f"{plural(drawn.images, 'image')} with {plural(drawn.boxes, 'box')} in {folder} "
        f"({drawn.train_images} to train on, {drawn.test_images} held out; {duration(seconds)})"
    )
    out.print("  " + ", ".join(f"{name} {count}" for name, count in drawn.class_boxes.items()))
    out.print(f"next: nestbox push {folder} DATASET --watch")
    return 0
