"""Bad names, bad data, lost events, crowds of objects, and who may do what."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import botocore.exceptions
import pytest
from deployed_stack import ROOT, System, wait_until
from PIL import Image


def jpeg(width: int = 64, height: int = 48, colour: str = "teal") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(stream, "JPEG")
    return stream.getvalue()


def voc(name: str, box: tuple[int, int, int, int], label: str = "cell") -> bytes:
    x0, y0, x1, y1 = box
    return (
        f"<annotation><filename>{name}</filename><size><width>64</width><height>48</height><depth>3</depth></size>"
        f"<object><name>{label}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object></annotation>"
    ).encode()


def test_a_folder_that_is_no_dataset_name_is_answered(system: System) -> None:
    system.put("My Birds", "a.jpg", jpeg())
    row = wait_until("the defect", lambda: system.row("_rejected") or None, 60)
    assert any("My Birds" in defect["file"] + defect["message"] for defect in row["defects"]), row
    assert all(defect["hint"] for defect in row["defects"])


def test_data_that_allows_no_training_blocks_the_run_and_says_why(system: System) -> None:
    dataset = "blocked"
    system.put(dataset, "a.jpg", jpeg()[:100])
    system.put(dataset, "a.xml", voc("a.jpg", (5, 5, 20, 20)))
    system.put(dataset, "b.jpg", jpeg())
    system.put(dataset, "orphan.xml", voc("nowhere.jpg", (5, 5, 20, 20)))
    system.put(dataset, "c.jpg", jpeg(colour="olive"))
    system.put(dataset, "c.xml", voc("c.jpg", (200, 200, 260, 260)))
    run = system.run_number(dataset, 1)
    assert run["state"] == "BLOCKED", run
    report = json.loads(
        system.s3.get_object(
            Bucket=system.outputs["ArtifactsBucket"], Key=f"runs/{run['run']}/prep/report.json"
        )["Body"].read()
    )
    told = {defect["file"]: defect for defect in report["defects"]}
    assert {"a.jpg", "b.jpg", "orphan.xml", "c.xml"} <= set(told), told
    assert all(defect["code"] and defect["message"] and defect["hint"] for defect in told.values())
    answer = system.detect(dataset, jpeg())
    assert answer.status == 409
    assert set(answer.json["error"]) == {"code", "message", "hint"}


def test_a_thousand_objects_make_one_run_and_few_writes(system: System) -> None:
    dataset = "crowd"
    small = jpeg(8, 8)
    began = time.monotonic()
    for number in range(1000):
        system.put(dataset, f"{number:04}.jpg", small)
    run = system.run_number(dataset, 1)
    assert run["state"] == "BLOCKED", "there is not one annotation"
    assert run["snapshot_objects"] == 1000
    assert len(system.runs(dataset)) == 1
    written = system.row(dataset)["revision"]
    quiet_periods = int((time.monotonic() - began) / int(system.parameter("QuietPeriodSeconds")))
    # A settle message takes itself off the row and puts itself on again; an upload between may arm it too.
    assert written <= 8 + 3 * quiet_periods, "writes do not grow with the objects, only with time"


def test_lost_events_are_made_good_by_reconcile(system: System) -> None:
    dataset = "lost"
    events = system.client("events")
    rules = [
        rule["Name"]
        for rule in events.list_rules()["Rules"]
        if "aws.batch" in rule.get("EventPattern", "") or "aws.sagemaker" in rule.get("EventPattern", "")
    ]
    assert rules
    for rule in rules:
        events.disable_rule(Name=rule)
    try:
        system.put(dataset, "a.jpg", jpeg())
        system.put(dataset, "_READY", b"")
        wait_until("the run", lambda: system.runs(dataset), 60)

        def ended() -> dict | None:
            assert system.reconcile() is None
            run = system.runs(dataset)[0]
            return run if run["state"] == "BLOCKED" else None

        wait_until("reconcile to settle the run", ended, 120, every=1)
    finally:
        for rule in rules:
            events.enable_rule(Name=rule)


def _functions(system: System) -> list[str]:
    pages = system.client("lambda").get_paginator("list_functions").paginate()
    return [function["FunctionName"] for page in pages for function in page["Functions"]]


@pytest.mark.parametrize(
    ("image", "query", "headers", "status"),
    [
        (jpeg(), "", {"Authorization": ""}, 401),
        (jpeg(), "", {"Authorization": "Bearer nb_wrong"}, 401),
        (b"this is no picture", "", {}, 400),
        (jpeg()[:200], "", {}, 400),
        (b"{}", "", {"Content-Type": "application/json"}, 415),
        (b"\xff\xd8" + bytes(6_000_000), "", {}, 413),
        (jpeg(), "?threshold=warm", {}, 400),
        (jpeg(), "?max_boxes=0", {}, 400),
    ],
    ids=["no-token", "wrong-token", "no-image", "truncated", "type", "too-large", "threshold", "max-boxes"],
)
def test_bad_requests_are_answered_in_one_shape(
    system: System, image: bytes, query: str, headers: dict[str, str], status: int
) -> None:
    answer = system.detect("birds", image, query, **headers)
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert set(error) == {"code", "message", "hint"}
    assert all(error.values())


def test_an_unknown_dataset_is_404(system: System) -> None:
    answer = system.detect("unknown", jpeg())
    assert answer.status == 404
    assert "unknown" in answer.json["error"]["message"]


def test_a_token_without_the_scope_is_refused(system: System) -> None:
    token = system.make_token("read")
    assert system.detect("birds", jpeg(), Authorization=f"Bearer {token}").status == 403


def test_openapi_is_published(system: System) -> None:
    answer = system.call("GET", "/openapi.json")
    assert answer.status == 200
    assert "/detect/{dataset}" in answer.json["paths"]


def test_roles_may_do_their_own_step_and_nothing_else(system: System) -> None:
    """IAM is enforced: with the detect function's own role, the uploads cannot be read nor deleted."""
    function = next(name for name in _functions(system) if "detect" in name.lower())
    role = system.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"]
    keys = system.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    credentials = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }
    s3 = system.client("s3", **credentials)
    for forbidden in (
        lambda: s3.list_objects_v2(Bucket=system.outputs["UploadsBucket"]),
        lambda: system.client("sagemaker", **credentials).delete_endpoint(EndpointName="nestbox-birds"),
        lambda: system.client("batch", **credentials).submit_job(
            jobName="a", jobQueue="b", jobDefinition="c"
        ),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            forbidden()
        assert "AccessDenied" in refused.value.response["Error"]["Code"]


def test_the_command_line_shows_the_runs(system: System) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "runs", "--json"],
        cwd=ROOT,
        env=system.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = {run["run"]: run["state"] for run in json.loads(done.stdout)["runs"]}
    kept = {run["run"]: run["state"] for dataset in ("birds", "blocked") for run in system.runs(dataset)}
    assert kept.items() <= told.items()


def test_real_cells_are_prepared_with_their_natural_dirt(system: System, tmp_path: Path) -> None:
    """A slice of the BCCD set, as its annotators left it."""
    shared = ROOT.parent / "shared" / "data" / "bccd"
    if not shared.exists():
        pytest.skip("the shared data sets are not beside this checkout")
    dataset = "cells"
    zero_area = ["BloodImage_00338", "BloodImage_00343"]
    names = [path.stem for path in sorted((shared / "JPEGImages").iterdir())[:12]] + zero_area
    for name in names:
        for folder, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
            source = shared / folder / (name + suffix)
            if source.exists():
                system.put(dataset, f"{folder}/{name}{suffix}", source.read_bytes())
    system.put(dataset, "nestbox.yaml", b"training: {epochs: 1}\n")
    run = system.run_number(dataset, 1)
    assert run["state"] in {"SERVED", "REJECTED"}, run
    assert run["classes"] == ["Platelets", "RBC", "WBC"]


def test_a_mixed_upload_is_one_dataset(system: System, tmp_path: Path) -> None:
    """A COCO file, a VOC folder in a zip archive and a YOLO folder, as three annotators would send them."""
    dataset, mixed = "mixed", tmp_path / "mixed"
    boxes = 0
    for seed, form in enumerate(("coco", "voc", "yolo"), 21):
        drawn = tmp_path / f"drawn-{form}"
        for command in (
            ["sample", str(drawn), "--images", "24", "--seed", str(seed)],
            ["export", str(drawn), str(mixed / form), "--to", form],
        ):
            subprocess.run(
                [sys.executable, "-m", "cli.main", *command], cwd=ROOT, check=True, capture_output=True
            )
        boxes += len((drawn / "bounding_boxes.txt").read_text().splitlines())
    shutil.make_archive(str(mixed / "from-voc"), "zip", mixed, "voc")
    shutil.rmtree(mixed / "voc")
    (mixed / "nestbox.yaml").write_text("training: {epochs: 1}\nquiet_period: 5\n")
    system.upload(dataset, mixed)
    run = system.run_number(dataset, 1)
    assert run["state"] in {"SERVED", "REJECTED"}, run
    report = json.loads(
        system.s3.get_object(
            Bucket=system.outputs["ArtifactsBucket"], Key=f"runs/{run['run']}/prep/report.json"
        )["Body"].read()
    )
    assert sorted(report["formats"]) == ["coco", "voc", "yolo"], report["defects"]
    assert (report["images"], report["usable_images"], report["boxes"]) == (72, 72, boxes)
    assert [defect for defect in report["defects"] if defect["severity"] == "error"] == []
    assert int(run["images"]) == 72
    assert "1 archive" in run["history"][0]["why"]
    assert system.row(dataset)["quiet_period"] == 5
