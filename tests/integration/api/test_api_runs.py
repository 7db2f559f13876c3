"""The routes that read."""

from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from nestbox.tables import ClassDecision, DatasetRow, Decision, EpochRow, Notice

RUN = "birds-20261124224000-0a1b"


@pytest.fixture
def get(call: Any) -> Any:
    def send(path: str, headers: Any = None, **query: str) -> Any:
        return call(
            "runs_api", "GET", path, None, headers, {key: [value] for key, value in query.items()} or None
        )

    return send


@pytest.fixture
def notice() -> Notice:
    return Notice(
        code="no-dataset-name",
        severity="error",
        file="datasets/My Birds/a.jpg",
        message="'My Birds' is no dataset name",
        hint="Use lower-case letters",
        at="2026-11-24T22:40:00.000Z",
    )


def test_datasets_by_name_and_what_belongs_to_none(get: Any, notice: Notice) -> None:
    DatasetRow(dataset="cells").save()
    DatasetRow(dataset="birds", champion_run=RUN, classes=["wren"], pinned=True).save()
    DatasetRow(dataset="_rejected", defects=[notice]).save()
    body = get("/datasets").body
    assert body["datasets"] == [
        {"dataset": "birds", "champion_run": RUN, "classes": ["wren"], "pinned": True, "defects": []},
        {"dataset": "cells", "pinned": False, "defects": []},
    ]
    assert [defect["code"] for defect in body["rejected"]] == ["no-dataset-name"]


def test_one_dataset(get: Any, champion: str) -> None:
    assert get("/datasets/birds").body["champion_run"] == champion


@pytest.mark.parametrize(
    "path", ["/datasets/dodos", "/datasets/_rejected", "/runs/birds", f"/runs/{RUN}", f"/runs/{RUN}/epochs"]
)
def test_what_is_not_there(get: Any, path: str) -> None:
    answer = get(path)
    assert (answer.status, answer.error["code"]) == (404, "not_found")


def test_no_such_route(get: Any) -> None:
    assert get("/birds").error["code"] == "no_such_route"


def test_a_run_with_all_its_numbers(get: Any, store_run: Any) -> None:
    decision = Decision(
        promote=True,
        reason="first",
        candidate_map=0.91,
        min_map=0.3,
        min_improvement=0.0,
        max_class_drop=0.3,
        images=24,
        split="test",
        classes=[ClassDecision(name="wren", boxes=7, candidate_ap=0.5, champion_ap=0.25, fall=-0.25)],
    )
    store_run(
        images=120,
        boxes=200,
        defects={"error": 1, "warning": 2},
        hyperparameters={"epochs": "30"},
        best_epoch=12,
        best_map=0.91,
        decision=decision,
        timings={"prepare": 3.5},
    )
    body = get(f"/runs/{RUN}").body
    assert body["classes"] == ["auklet", "finch", "wren"]
    assert body["decision"] == {
        "promote": True,
        "reason": "first",
        "candidate_map": 0.91,
        "min_map": 0.3,
        "min_improvement": 0.0,
        "max_class_drop": 0.3,
        "images": 24,
        "split": "test",
        "classes": [{"name": "wren", "boxes": 7, "candidate_ap": 0.5, "champion_ap": 0.25, "fall": -0.25}],
    }
    assert body["history"] == [
        {"to": "PREPARING", "at": "2026-11-24T22:40:00.000Z", "by": "start_run", "why": "quiet"}
    ]
    assert (body["best_epoch"], body["best_map"], body["images"]) == (12, 0.91, 120)
    assert (body["hyperparameters"], body["timings"]) == ({"epochs": "30"}, {"prepare": 3.5})
    assert body["defects"] == {"error": 1, "warning": 2}
    assert "failure" not in body


def test_epochs_in_order_and_missing_metrics_missing(get: Any, store_run: Any) -> None:
    store_run()
    for epoch in (10, 2, 0):
        EpochRow(run=RUN, epoch=epoch, train_smooth_l1=0.5, at="2026-11-24T22:40:00.000Z").save()
    body = get(f"/runs/{RUN}/epochs").body
    assert body["run"] == RUN
    assert body["epochs"][0] == {"epoch": 0, "train_smooth_l1": 0.5, "at": "2026-11-24T22:40:00.000Z"}
    assert [epoch["epoch"] for epoch in body["epochs"]] == [0, 2, 10]


def test_the_report_by_link(get: Any, store_run: Any) -> None:
    store_run()
    assert get(f"/runs/{RUN}/report").error["code"] == "not_found"
    key = f"runs/{RUN}/prep/report.html"
    boto3.client("s3").put_object(Bucket="artifacts", Key=key, Body=b"<p>fine</p>")
    body = get(f"/runs/{RUN}/report").body
    assert set(body) == {"run", "html", "json", "expires_in"}
    link = urlsplit(body["html"])
    assert link.path.endswith(key)
    assert "X-Amz-Expires=900" in link.query
    page = get(f"/runs/{RUN}/report", {"Accept": "text/html,application/xhtml+xml"})
    assert page.status == 303
    assert urlsplit(page.headers["Location"]).path.endswith(key)


def test_the_evaluation_by_link(get: Any, store_run: Any) -> None:
    store_run()
    assert get(f"/runs/{RUN}/evaluation").error == {
        "code": "not_found",
        "message": f"Run {RUN} has no evaluation.",
        "hint": f"It is written when the model has been scored; GET /runs/{RUN} shows how far it is.",
    }
    prefix = f"runs/{RUN}/evaluation/"
    s3 = boto3.client("s3")
    s3.put_object(Bucket="artifacts", Key=f"{prefix}report.html", Body=b"<p>fine</p>")
    assert get(f"/runs/{RUN}/evaluation").status == 404, "the page alone may be that of an attempt"
    s3.put_object(Bucket="artifacts", Key=f"{prefix}report.json", Body=b"{}")
    body = get(f"/runs/{RUN}/evaluation").body
    assert urlsplit(body["html"]).path.endswith(f"{prefix}report.html")
    assert urlsplit(body["json"]).path.endswith(f"{prefix}report.json")
    page = get(f"/runs/{RUN}/evaluation", {"Accept": "text/html"})
    assert (page.status, urlsplit(page.headers["Location"]).path[-11:]) == (303, "report.html")
    assert get("/runs/birds-20261124224000-9999/evaluation").status == 404


def run_id(dataset: str, second: int, suffix: str = "0000") -> str:
    return f"{dataset}-202611242240{second:02}-{suffix}"


@pytest.fixture
def many_runs(store_run: Any, aws: None) -> list[str]:
    """Runs of three datasets, newest first; two of them began in the same second with the same digits."""
    runs = [run_id("birds", second) for second in (1, 4, 7, 9)]
    runs += [run_id("cells", second) for second in (2, 4, 8)]
    runs += [run_id("cells-2", second, "ffff") for second in (4, 5)]
    for run in runs:
        store_run(run)
    for dataset in ("birds", "cells", "cells-2", "_rejected"):
        DatasetRow(dataset=dataset).save()
    return sorted(runs, key=lambda run: (run.rsplit("-", 2)[1:], run), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_pages_tell_every_run_once_newest_first(get: Any, many_runs: list[str], limit: int) -> None:
    told: list[str] = []
    query: dict[str, str] = {}
    while True:
        body = get("/runs", limit=str(limit), **query).body
        assert len(body["runs"]) <= limit
        told += [run["run"] for run in body["runs"]]
        if "cursor" not in body:
            break
        query = {"cursor": body["cursor"]}
    assert told == many_runs


def test_the_runs_of_one_dataset(get: Any, many_runs: list[str]) -> None:
    first = get("/runs", dataset="cells", limit="2").body
    assert [run["run"] for run in first["runs"]] == [run_id("cells", 8), run_id("cells", 4)]
    second = get("/runs", dataset="cells", limit="2", cursor=first["cursor"]).body
    assert [run["run"] for run in second["runs"]] == [run_id("cells", 2)]
    assert "cursor" not in second


@pytest.mark.parametrize(
    ("query", "status", "name"),
    [
        ({"limit": "0"}, 400, "limit"),
        ({"limit": "x"}, 400, "limit"),
        ({"cursor": "garbage!"}, 400, "cursor"),
        ({"cursor": "ZG9kbw"}, 400, "cursor"),
        ({"dataset": "dodos"}, 404, "dodos"),
        ({"dataset": "No Name"}, 404, "No Name"),
    ],
)
def test_bad_queries_are_named(get: Any, query: dict[str, str], status: int, name: str) -> None:
    answer = get("/runs", **query)
    assert answer.status == status
    assert name in answer.error["message"]


def test_the_document_is_served(get: Any) -> None:
    answer = get("/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.body["openapi"].startswith("3.1")
    assert answer.body["servers"] == [{"url": "."}]
