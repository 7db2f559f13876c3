"""`make demo`: a dataset goes up, and boxes come back, with every step shown as it happens.

DATA is a folder of images and annotations (default: drawn birds), DATASET its name in the bucket.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from nestbox import timestamps
from nestbox.api import tokens
from nestbox.api.tokens import Scope
from nestbox.bucket_layout import held_out_key
from nestbox.errors import NestboxError
from nestbox.names import MAX_DATASET_NAME, check_dataset_name
from nestbox.states import State
from nestbox.tables import RunRow, epochs_of, find_dataset, get_run

from cli import check, drawing, push, runs, watch
from cli.detect import Answer, ask
from cli.drawing.cub import write_dataset
from cli.errors import CliError
from cli.following import Expected
from cli.output import console, plural, size
from cli.sample import DEFAULT_IMAGES, DEFAULT_SEED
from cli.stack import Stack, find_stack
from local.commands import DEFAULT_PORT, DEFAULT_STATE
from local.demo_pictures import Truth, annotated, contact_sheet, epochs_chart, found_of
from local.deploy import STACK, Steps, deploy
from local.errors import LocalError
from local.images import REPOSITORY

DRAWN = REPOSITORY / ".nestbox" / "demo"
OUT = REPOSITORY / "out"
PICTURES = 12
"""Held-out pictures that the served model is asked about."""
RUN_SECONDS = 1800.0


@dataclass(frozen=True)
class HeldOut:
    """A picture that was never trained on."""

    file: Path
    truth: list[Truth]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when a model serves and answers."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: %(default)s")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=OUT, help="where pictures go (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget what the last one kept")
    options = parser.parse_args(arguments)
    data = os.environ.get("DATA") or None
    steps = Steps()
    try:
        dataset = check_dataset_name(os.environ.get("DATASET") or _name_for(data))
        return _demo(steps, options, Path(data).expanduser() if data else None, dataset)
    except CliError as error:
        print(f"error: {error.message}\n  {error.hint}", file=sys.stderr)
    except (LocalError, NestboxError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


def _demo(steps: Steps, options: argparse.Namespace, data: Path | None, dataset: str) -> int:
    out: Path = options.out
    # Drawing takes as long as deploying, and neither needs the other.
    with ProcessPoolExecutor(1) as beside:
        drawing_birds = None if data else beside.submit(_draw_birds)
        deploy(steps, options.port, options.state.resolve(), fresh=options.fresh)
        if drawing_birds is not None:
            with steps.step(f"nestbox sample: {DEFAULT_IMAGES} pictures of five species, drawn meanwhile"):
                drawing_birds.result()
    folder = data or DRAWN / "birds"
    stack = find_stack(argparse.Namespace(stack=STACK, local=False, region=None, profile=None))
    run = _run_for(steps, stack, folder, dataset)
    if run is None:
        return 1
    with steps.step("a token for the API"):
        token, _ = tokens.create("demo", [Scope.DETECT, Scope.READ], timedelta(days=1))
    pictures = _held_out(stack, run, folder)
    with steps.step(f"POST /detect/{dataset} for {plural(len(pictures), 'held-out picture')}"):
        answers = [ask(stack.api_url, token, dataset, picture.file, {}) for picture in pictures]
    if not answers:
        raise CliError("No held-out picture is in the folder any more.", "Push the folder again.")
    with steps.step(f"pictures under {_shown(out)}/"):
        _write_pictures(out, run, pictures, answers)
    print()
    runs.show_run(console(), run, epochs_of(run.run))
    _sum_up(steps, out, run, pictures, answers, stack, token)
    return 0


def _name_for(data: str | None) -> str:
    """A dataset name after the folder's."""
    if data is None:
        return "birds"
    name = re.sub(r"[^a-z0-9]+", "-", Path(data).resolve().name.lower()).strip("-")
    return name[:MAX_DATASET_NAME].strip("-") or "data"


def _draw_birds() -> None:
    """Draw the dataset; again only where the code that draws has changed."""
    folder, stamp = DRAWN / "birds", DRAWN / "birds.json"
    sources = hashlib.sha256()
    for source in sorted(Path(drawing.__file__).parent.glob("*.py")):
        sources.update(source.read_bytes())
    wanted = {"images": DEFAULT_IMAGES, "seed": DEFAULT_SEED, "code": sources.hexdigest()}
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return
    stamp.unlink(missing_ok=True)
    write_dataset(folder, DEFAULT_IMAGES, DEFAULT_SEED)
    stamp.write_text(json.dumps(wanted))


def _run_for(steps: Steps, stack: Stack, folder: Path, dataset: str) -> RunRow | None:
    """Push the folder and follow its run; the run that serves, or None where none does."""
    if not folder.is_dir():
        raise CliError(f"{folder} is no folder.", "Set DATA to a folder of images and annotations.")
    with steps.step(f"nestbox check {_shown(folder)}"):
        report = check.examine(folder, quiet=True)
    if report.blocked or report.errors or report.warnings:
        check.show(console(), folder, report)
    if report.blocked:
        return None
    row = find_dataset(dataset)
    last_run = row.last_run if row else None
    expected = Expected(last_run, timestamps.now())
    plan = push.compare(stack, folder, dataset)
    code: int | None = None
    if plan.changed or plan.gone:
        total = size(sum(file.size for file in plan.changed))
        with steps.step(
            f"nestbox push: {plural(len(plan.changed), 'file')} ({total}) to datasets/{dataset}/"
        ):
            push.push(stack, plan, dataset, delete=True, ready=True, quiet=True)
        print(f"\nnobody touches anything from here on: nestbox watch {dataset}")
        code = watch.follow(stack, dataset, expected=expected, as_json=False, timeout=RUN_SECONDS)
        print()
    elif row is not None and row.active_run:
        print(f"\nnothing changed, and run {row.active_run} is going on: nestbox watch {dataset}")
        code = watch.follow(stack, row.active_run, expected=None, as_json=False, timeout=RUN_SECONDS)
        print()
    row = find_dataset(dataset)
    if row is None or not row.champion_run:
        if code is None and last_run:
            print(f"nothing changed since run {last_run}, which did not end with a model that serves:")
            runs.show_run(console(), get_run(last_run), epochs_of(last_run))
        return None
    champion = get_run(row.champion_run)
    if code is None:
        print(f"✓ nothing changed: the model of {champion.run} (mAP {champion.best_map:.3f}) serves already")
    elif code == watch.ENDS[State.REJECTED]:
        print(f"the gate kept the model of {champion.run}, which goes on serving")
    elif code != watch.ENDS[State.SERVED]:
        return None
    return champion


def _held_out(stack: Stack, run: RunRow, folder: Path) -> list[HeldOut]:
    """Some pictures that the run held out, with their true boxes, spread over the list."""
    s3 = stack.session.client("s3")
    body = s3.get_object(Bucket=stack.artifacts_bucket, Key=held_out_key(run.run))["Body"].read()
    entries = [json.loads(line) for line in body.decode().splitlines()]
    usable = [entry for entry in entries if (folder / entry["key"]).is_file()]
    step = max(1, len(usable) // PICTURES)
    return [HeldOut(folder / entry["key"], list(_truth(entry))) for entry in usable[::step][:PICTURES]]


def _truth(entry: dict[str, object]) -> Iterator[Truth]:
    boxes = entry.get("boxes")
    for box in boxes if isinstance(boxes, list) else []:
        yield Truth(str(box["class"]), *(float(box[edge]) for edge in ("xmin", "ymin", "xmax", "ymax")))


def _write_pictures(out: Path, run: RunRow, pictures: list[HeldOut], answers: list[Answer]) -> None:
    folder = out / run.dataset
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.jpg"):
        stale.unlink()
    drawn = []
    for picture, answer in zip(pictures, answers, strict=True):
        jpeg = annotated(picture.file, picture.truth, answer.detections)
        (folder / f"{picture.file.stem}.jpg").write_bytes(jpeg)
        drawn.append(jpeg)
    (out / "detections.jpg").write_bytes(contact_sheet(drawn))
    (out / "epochs.svg").write_text(epochs_chart(run.run, epochs_of(run.run)), encoding="utf-8")


def _sum_up(
    steps: Steps,
    out: Path,
    run: RunRow,
    pictures: list[HeldOut],
    answers: list[Answer],
    stack: Stack,
    token: str,
) -> None:
    true = sum(len(picture.truth) for picture in pictures)
    pairs = list(zip(pictures, answers, strict=True))
    found = sum(found_of(picture.truth, answer.detections) for picture, answer in pairs)
    boxes = sum(len(answer.detections) for answer in answers)
    score = f", {found} of {plural(true, 'true object')} found" if true else ""
    print(
        f"""
{plural(len(answers), "held-out picture")}: {plural(boxes, "box")} from /detect{score}
  {_shown(out)}/detections.jpg   boxes (thin white: the truth); one by one in {_shown(out)}/{run.dataset}/
  {_shown(out)}/epochs.svg       mAP and losses, epoch by epoch

ask it yourself:
  curl -sS -X POST {stack.api_url}/detect/{run.dataset} \\
    -H 'Authorization: Bearer {token}' -H 'Content-Type: image/jpeg' \\
    --data-binary @{_shown(pictures[0].file)}

done in {steps.total}; the stack stays up (make stop ends it)"""
    )


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    sys.exit(main())
