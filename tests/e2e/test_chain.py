"""Images and annotations in, boxes out, and nobody touches anything in between.

The tests of one dataset tell one story and run in the order they stand in.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from deployed_stack import ROOT, System, wait_until
from PIL import Image

DATASET = "birds"
CLASSES = 4
TRAINING = "training: {epochs: 14}\n"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn dataset, as `nestbox sample` makes it."""
    folder = tmp_path_factory.mktemp("sample") / "birds"
    subprocess.run(
        [sys.executable, "-m", "cli.main", "sample", str(folder), "--images", "80", "--seed", "5"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (folder / "nestbox.yaml").write_text(TRAINING)
    return folder


@pytest.fixture(scope="module")
def first(system: System, sample: Path) -> dict:
    """The first run, from nothing but an upload."""
    system.upload(DATASET, sample)
    return system.run_number(DATASET, 1)


def held_out(folder: Path) -> list[Path]:
    """The pictures of the sample that no training saw."""
    names = dict(line.split(" ", 1) for line in (folder / "images.txt").read_text().splitlines())
    split = (line.split() for line in (folder / "train_test_split.txt").read_text().splitlines())
    return [folder / "images" / names[image] for image, train in split if train == "0"]


def truth(folder: Path, picture: Path) -> list[tuple[float, float, float, float]]:
    """The labelled boxes of a picture: x0, y0, x1, y1 in pixels."""
    name = picture.relative_to(folder / "images").as_posix()
    number = next(
        line.split(" ", 1)[0]
        for line in (folder / "images.txt").read_text().splitlines()
        if line.endswith(name)
    )
    rows = (line.split() for line in (folder / "bounding_boxes.txt").read_text().splitlines())
    boxes = [tuple(map(float, row[1:5])) for row in rows if row[0] == number]
    return [(x, y, x + w, y + h) for x, y, w, h in boxes]


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def test_an_upload_becomes_a_served_model(system: System, first: dict) -> None:
    assert first["state"] == "SERVED", first
    assert [move["to"] for move in first["history"]] == [
        "PREPARING", "TRAINING", "EVALUATING", "DEPLOYING", "SERVED",
    ]  # fmt: skip
    assert "unfinished" not in first
    row = system.row(DATASET)
    assert row["champion_run"] == first["run"]
    assert row.get("active_run") is None
    assert row.get("first_pending_at") is None
    assert system.champion_config(DATASET) == first["run"]


def test_every_epoch_is_recorded_and_the_best_one_is_served(system: System, first: dict) -> None:
    epochs = system.epochs(first["run"])
    assert [int(epoch["epoch"]) for epoch in epochs] == list(range(14))
    for epoch in epochs:
        assert 0 <= epoch["validation_map"] <= 1
        assert epoch["train_cross_entropy"] > 0
        assert epoch["train_smooth_l1"] > 0
    best = max(epochs, key=lambda epoch: epoch["validation_map"])
    assert first["best_map"] == best["validation_map"]
    assert first["best_map"] > 0.1, "nothing was learned"
    assert epochs[-1]["train_cross_entropy"] < epochs[0]["train_cross_entropy"]


def test_the_first_model_is_judged_alone_on_what_was_held_out(system: System, first: dict) -> None:
    decision = first["decision"]
    assert (decision["promote"], decision.get("champion_run")) == (True, None)
    assert (decision["split"], decision["images"]) == ("validation", first["validation_images"])
    assert float(decision["candidate_map"]) == pytest.approx(float(first["best_map"]), abs=0.05)
    assert [one["name"] for one in decision["classes"]] == first["classes"]
    answer = system.call("GET", f"/runs/{first['run']}/evaluation", Authorization=f"Bearer {system.token}")
    assert answer.status == 200, answer.body
    with urllib.request.urlopen(answer.json["json"], timeout=30) as report:
        assert json.load(report)["candidate"]["map"] == pytest.approx(
            float(decision["candidate_map"]), abs=1e-5
        )


def test_the_data_was_prepared_as_the_report_says(system: System, first: dict) -> None:
    bucket, prefix = system.outputs["ArtifactsBucket"], f"runs/{first['run']}/prep/"
    keys = {
        item["Key"].removeprefix(prefix)
        for item in system.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    }
    assert {
        "summary.json", "report.json", "report.html", "classes.json", "held_out.jsonl",
        "channels/train/train.rec", "channels/validation/validation.rec",
        "lists/train.lst", "lists/train.idx",
    } <= keys  # fmt: skip

    def read(name: str) -> bytes:
        return system.s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read()

    summary = json.loads(read("summary.json"))
    assert summary["outcome"] == "READY"
    assert summary["images"] == 80
    assert summary["train_samples"] == 2 * summary["train_images"], "the train split is mirrored"
    assert summary["train_images"] + summary["validation_images"] == 80
    assert len(read("lists/train.lst").splitlines()) == summary["train_samples"]
    assert len(read("lists/validation.lst").splitlines()) == summary["validation_images"], "and only that one"
    assert first["classes"] == summary["classes"]


def test_the_artefact_is_a_sagemaker_model(system: System, first: dict) -> None:
    key = f"runs/{first['run']}/output/{first['run']}/output/model.tar.gz"
    body = system.s3.get_object(Bucket=system.outputs["ArtifactsBucket"], Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert archive.getnames()


def test_clients_get_boxes_that_lie_on_birds(system: System, first: dict, sample: Path) -> None:
    hits = 0
    pictures = held_out(sample)[:8]
    for picture in pictures:
        answer = system.detect(DATASET, picture.read_bytes(), "?threshold=0.05")
        assert answer.status == 200, answer.body
        with Image.open(picture) as image:
            size = {"width": image.width, "height": image.height}
        body = answer.json
        assert body["dataset"] == DATASET
        assert body["run"] == first["run"]
        assert body["image"] == size
        scores = [detection["score"] for detection in body["detections"]]
        assert scores == sorted(scores, reverse=True)
        for detection in body["detections"]:
            box = detection["box"]
            assert 0 <= box["xmin"] < box["xmax"] <= size["width"]
            assert 0 <= box["ymin"] < box["ymax"] <= size["height"]
            assert detection["class"] in first["classes"]
        boxes = [
            tuple(d["box"][k] for k in ("xmin", "ymin", "xmax", "ymax")) for d in body["detections"][:10]
        ]
        hits += any(iou(box, bird) > 0.4 for box in boxes for bird in truth(sample, picture))
    assert hits >= len(pictures) // 2, f"a box lies on a bird in only {hits} of {len(pictures)} pictures"


def test_the_same_data_again_starts_no_run(system: System, first: dict, sample: Path) -> None:
    system.upload(DATASET, sample)
    wait_until("the upload to be noticed", lambda: "first_pending_at" in system.row(DATASET), 20)
    wait_until("the upload to settle", lambda: "first_pending_at" not in system.row(DATASET), 60)
    assert [run["run"] for run in system.runs(DATASET)] == [first["run"]]


def test_a_worse_model_is_rejected_and_uploads_during_a_run_start_the_next_one_once(
    system: System, first: dict
) -> None:
    system.put(
        DATASET, "nestbox.yaml", b"training: {epochs: 1, learning_rate: 0.000001, warm_start: false}\n"
    )
    wait_until("the second run", lambda: len(system.runs(DATASET)) == 2, 60)
    system.put(DATASET, "nestbox.yaml", b"training: {epochs: 2, freeze_layer_pattern: '.*'}\n")
    system.put(DATASET, "nestbox.yaml", b"training: {epochs: 3, freeze_layer_pattern: '.*'}\n")

    second = system.run_number(DATASET, 2)
    assert second["state"] == "REJECTED", second
    assert second["decision"]["promote"] is False
    decision = second["decision"]
    assert decision["candidate_map"] <= decision["champion_map"]
    assert decision["champion_run"] == first["run"]
    assert decision["champion_map"] == first["decision"]["candidate_map"], (
        "the same model on the same pictures"
    )
    assert decision["improvement_low"] <= decision["improvement"] <= decision["improvement_high"]
    assert all("fall" in one for one in decision["classes"] if one["boxes"])
    assert system.champion_config(DATASET) == first["run"]

    third = system.run_number(DATASET, 3)
    assert third["state"] == "FAILED"
    assert third["failure"]["stage"] == "training"
    assert "freeze_layer_pattern" in third["failure"]["reason"], "the container's own reason is told"
    assert system.champion_config(DATASET) == first["run"]
    assert system.row(DATASET)["champion_run"] == first["run"]
    wait_until("the dataset to come to rest", lambda: "first_pending_at" not in system.row(DATASET), 60)
    assert len(system.runs(DATASET)) == 3, "one next run, not two"


def test_an_operator_promotes_it_all_the_same_and_rolls_back_in_one_command(
    system: System, first: dict
) -> None:
    second = system.runs(DATASET)[1]
    rejected_because = second["decision"]["reason"]
    assert system.nestbox("promote", second["run"], "--why", "we need the jays") == 0
    assert system.champion_config(DATASET) == second["run"]
    assert system.nestbox("rollback", DATASET, "--why", "worse, as the gate said") == 0
    assert system.champion_config(DATASET) == first["run"]

    history = [(step["to"], step["by"], step["why"]) for step in system.runs(DATASET)[1]["history"][3:]]
    assert [state for state, _, _ in history] == ["REJECTED", "DEPLOYING", "SERVED"]
    assert history[0] == ("REJECTED", "judge", rejected_because)
    assert history[1][2] == "we need the jays"
    logbook = system.row(DATASET)["champions"]
    assert [(reign["run"], reign.get("back_from")) for reign in logbook] == [
        (first["run"], None),
        (second["run"], None),
        (first["run"], second["run"]),
    ]
    assert logbook[2]["why"] == "worse, as the gate said"

    assert system.nestbox("rollback", DATASET) == 1, "nothing served before the first"
    token = system.make_token("operate")
    path = f"/runs/{first['run']}/promote"
    again = system.call("POST", path, Authorization=f"Bearer {token}")
    assert (again.status, again.json["changed"]) == (202, False)
    assert system.call("POST", path, Authorization=f"Bearer {system.token}").status == 403


def test_a_model_that_fails_in_its_first_minutes_is_replaced_by_the_champion(
    system: System, first: dict, sample: Path
) -> None:
    second = system.runs(DATASET)[1]
    picture = held_out(sample)[0].read_bytes()
    with system.function_set("update_endpoint", BAKE_SECONDS="3600"):
        why = "it has learned nothing since"
        assert system.nestbox("promote", second["run"], "--no-wait", "--why", why) == 0
        wait_until("it to serve", lambda: served_by(system, picture) == second["run"], 60)
        row = system.row(DATASET)
        assert (row["champion_run"], row["wanted_run"]) == (first["run"], second["run"])

        def ended() -> dict | None:
            # Its container goes down as often as SageMaker starts it again: every call is a server error.
            if process := system.working("endpoints", second["run"]):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            system.detect(DATASET, picture)
            run = system.runs(DATASET)[1]
            return run if run["state"] != "DEPLOYING" else None

        failed = wait_until("the alarm", ended, 120)
        assert failed["state"] == "FAILED", failed
        assert f"an alarm went off: nestbox-{second['run']}-errors" in failed["history"][-1]["why"]
        wait_until("the champion to be back", lambda: "wanted_run" not in system.row(DATASET), 60)
    assert system.champion_config(DATASET) == first["run"] == system.row(DATASET)["champion_run"]
    assert served_by(system, picture) == first["run"]
    back = system.runs(DATASET)[0]["history"][-2:]
    assert [step["to"] for step in back] == ["DEPLOYING", "SERVED"]
    assert back[0]["why"] == f"put back, as {second['run']} is FAILED"
    assert len(system.row(DATASET)["champions"]) == 3, "it never was the champion again"


def served_by(system: System, picture: bytes) -> str | None:
    """The run whose model answers; None where it does not."""
    answer = system.detect(DATASET, picture)
    return answer.json["run"] if answer.status == 200 else None


def test_a_better_model_takes_over_without_an_error_in_between(
    system: System, first: dict, sample: Path
) -> None:
    picture = held_out(sample)[0].read_bytes()
    before = len(system.runs(DATASET))
    system.put(DATASET, "nestbox.yaml", b"training: {epochs: 16}\n")
    wait_until("the run to start", lambda: len(system.runs(DATASET)) == before + 1, 60)
    answers = set()

    def ended() -> dict | None:
        answer = system.detect(DATASET, picture)
        assert answer.status == 200, answer.body
        answers.add(answer.json["run"])
        run = system.runs(DATASET)[-1]
        return run if run["state"] in {"SERVED", "REJECTED", "FAILED"} else None

    run = wait_until("the run to end", ended, 300)
    assert run["state"] == "SERVED", (run["state"], run.get("failure"), run.get("decision"))
    assert run["previous_run"] == first["run"], "it starts from the champion's weights"
    assert system.detect(DATASET, picture).json["run"] == run["run"]
    assert first["run"] in answers
