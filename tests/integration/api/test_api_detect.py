"""``POST /detect`` from API Gateway's event to its answer."""

import io
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import ANY, Stubber
from nestbox.tables import DatasetRow, Decision, Failure, find_run
from PIL import Image

JPEG = {"Content-Type": "image/jpeg"}
RUN = "birds-20261124224000-0a1b"
OTHER_RUN = "birds-20261125080000-ffff"


@pytest.fixture
def detect(call: Any, photo: bytes) -> Any:
    def send(path: str = "/detect/birds", body: bytes = photo, headers: Any = None, **query: str) -> Any:
        return call(
            "detect",
            "POST",
            path,
            body,
            headers or JPEG,
            {key: [value] for key, value in query.items()} or None,
        )

    return send


@pytest.fixture
def answers(sagemaker: Stubber, model_answers: Any) -> Any:
    return lambda answer, **kwargs: model_answers(sagemaker, answer, **kwargs)


TWO = {"prediction": [[2, 0.4, 0.0, 0.0, 0.25, 0.5], [0, 0.91237, 0.1, 0.2, 0.5, 1.02]]}


def test_boxes_in_pixels_best_first(detect: Any, answers: Any, champion: str, photo: bytes) -> None:
    answers(
        TWO,
        expected={
            "EndpointName": "nestbox-birds",
            "ContentType": "image/jpeg",
            "Accept": "application/json",
            "Body": photo,
        },
    )
    answer = detect(headers={**JPEG, "Origin": "https://example.org"})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    latency = answer.body.pop("model_latency_ms")
    assert 0 <= latency < 1000
    assert answer.body == {
        "dataset": "birds",
        "run": RUN,
        "image": {"width": 640, "height": 480},
        "detections": [
            {
                "class": "auklet",
                "score": 0.9124,
                "box": {"xmin": 64.0, "ymin": 96.0, "xmax": 320.0, "ymax": 480.0},
            },
            {"class": "wren", "score": 0.4, "box": {"xmin": 0.0, "ymin": 0.0, "xmax": 160.0, "ymax": 240.0}},
        ],
    }


def test_the_caller_chooses_threshold_number_and_classes(detect: Any, answers: Any, champion: str) -> None:
    names = []
    for query in ({"threshold": "0.5"}, {"max_boxes": "1"}, {"classes": "wren"}, {"classes": "wren,auklet"}):
        answers(TWO)
        names.append([one["class"] for one in detect(**query).body["detections"]])
    assert names == [["auklet"], ["auklet"], ["wren"], ["auklet", "wren"]]


def test_by_default_each_class_is_shown_from_its_runs_operating_threshold_on(
    detect: Any, answers: Any, champion: str
) -> None:
    row = find_run(RUN)
    assert row is not None
    row.operating_thresholds = {"wren": 0.41, "auklet": 0.9}
    row.save()
    answers(TWO)
    assert [one["class"] for one in detect().body["detections"]] == ["auklet"]
    answers(TWO)
    assert [one["class"] for one in detect(threshold="0.2").body["detections"]] == ["auklet", "wren"]


def test_the_drawn_picture(detect: Any, answers: Any, champion: str) -> None:
    answers(TWO)
    answer = detect(headers={**JPEG, "Accept": "image/jpeg"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.content)).size == (640, 480)


def test_in_the_middle_of_an_update_each_answer_speaks_its_own_runs_classes(
    detect: Any, answers: Any, champion: str, store_run: Any
) -> None:
    newer = store_run(OTHER_RUN, "DEPLOYING")
    newer.classes = ["heron"]
    newer.save()
    one = {"prediction": [[0, 0.9, 0.1, 0.1, 0.9, 0.9]]}
    told = []
    for variant in (RUN, OTHER_RUN, RUN):
        answers(one, variant=variant)
        body = detect().body
        told.append((body["run"], body["detections"][0]["class"]))
    assert told == [(RUN, "auklet"), (OTHER_RUN, "heron"), (RUN, "auklet")]


def test_without_a_dataset_the_only_one_that_serves(detect: Any, answers: Any, champion: str) -> None:
    DatasetRow(dataset="cells").save()
    DatasetRow(dataset="_rejected").save()
    answers(TWO, expected={"EndpointName": "nestbox-birds", "ContentType": ANY, "Accept": ANY, "Body": ANY})
    assert detect("/detect").body["dataset"] == "birds"


def test_without_a_dataset_where_several_serve(detect: Any, sagemaker: Stubber, champion: str) -> None:
    DatasetRow(dataset="cells", champion_run="cells-20261124224000-0a1b").save()
    answer = detect("/detect")
    assert answer.status == 400
    assert "birds, cells" in answer.error["message"]
    assert "POST /detect/DATASET" in answer.error["hint"]


def test_without_a_dataset_where_none_serves(detect: Any, sagemaker: Stubber) -> None:
    assert detect("/detect").status == 409


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"threshold": "high"}, "threshold"),
        ({"threshold": "1.5"}, "threshold"),
        ({"threshold": "-0.1"}, "threshold"),
        ({"threshold": "nan"}, "threshold"),
        ({"threshold": ""}, "threshold"),
        ({"max_boxes": "0"}, "max_boxes"),
        ({"max_boxes": "many"}, "max_boxes"),
        ({"max_boxes": "1000000"}, "max_boxes"),
    ],
)
def test_a_parameter_that_is_not_what_it_should_be_is_named(
    detect: Any, sagemaker: Stubber, query: dict[str, str], name: str
) -> None:
    answer = detect(**query)
    assert (answer.status, answer.error["code"]) == (400, "bad_parameter")
    assert answer.error["message"].startswith(f"{name}: ")


def test_a_class_the_model_does_not_know(detect: Any, answers: Any, champion: str) -> None:
    answers(TWO)
    answer = detect(classes="dodo")
    assert (answer.status, answer.error["code"]) == (400, "bad_parameter")
    assert "'dodo'" in answer.error["message"]
    assert "auklet, finch, wren" in answer.error["hint"]


def test_what_is_no_picture(detect: Any, sagemaker: Stubber, photo: bytes) -> None:
    for body in (b"not a picture", photo[: len(photo) // 2]):
        answer = detect(body=body)
        assert (answer.status, answer.error["code"]) == (400, "not_an_image")
    assert detect(body=b"").status == 400


def test_a_picture_that_is_too_large(detect: Any, sagemaker: Stubber, photo: bytes) -> None:
    answer = detect(body=photo + bytes(4_600_000))
    assert (answer.status, answer.error["code"]) == (413, "image_too_large")
    assert "1280 pixels" in answer.error["hint"]


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "image/webp", "application/json"]
)
def test_a_body_of_another_type(detect: Any, sagemaker: Stubber, content_type: str) -> None:
    answer = detect(body=b"{}", headers={"Content-Type": content_type})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_type")
    assert "Content-Type: image/jpeg" in answer.error["hint"]


def no_endpoint(sagemaker: Stubber) -> None:
    sagemaker.add_client_error(
        "invoke_endpoint", "ValidationError", "Endpoint nestbox-birds of account 1 not found.", 400
    )


@pytest.mark.parametrize("dataset", ["birds", "Birds", "nestbox%20birds", "b" * 33])
def test_an_unknown_dataset(detect: Any, sagemaker: Stubber, dataset: str) -> None:
    no_endpoint(sagemaker)
    answer = detect(f"/detect/{dataset}")
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert "GET /datasets" in answer.error["hint"]


def test_a_dataset_whose_first_run_is_under_way(detect: Any, sagemaker: Stubber, store_run: Any) -> None:
    no_endpoint(sagemaker)
    store_run(RUN, "TRAINING")
    DatasetRow(dataset="birds", active_run=RUN).save()
    answer = detect()
    assert (answer.status, answer.error["code"]) == (409, "no_champion")
    assert f"{RUN} is TRAINING" in answer.error["message"]
    assert "Wait" in answer.error["hint"]


def test_a_dataset_whose_uploads_have_not_settled(detect: Any, sagemaker: Stubber) -> None:
    no_endpoint(sagemaker)
    DatasetRow(dataset="birds", first_pending_at="2026-11-24T22:40:00.000Z", pending="1").save()
    answer = detect()
    assert answer.status == 409
    assert "not settled" in answer.error["message"]


@pytest.mark.parametrize(
    ("state", "more", "reason", "hint"),
    [
        ("BLOCKED", {}, "quiet", "report lists the defects"),
        (
            "FAILED",
            {"failure": Failure(stage="training", reason="CUDA out of memory")},
            "training: CUDA out of memory",
            f"GET /runs/{RUN}",
        ),
        (
            "REJECTED",
            {"decision": Decision(promote=False, reason="mAP 0.1 < 0.3", min_map=0.3, min_improvement=0.0)},
            "mAP 0.1 < 0.3",
            "Upload more",
        ),
    ],
)
def test_a_dataset_whose_only_run_ended_badly(
    detect: Any, sagemaker: Stubber, store_run: Any, state: str, more: Any, reason: str, hint: str
) -> None:
    no_endpoint(sagemaker)
    store_run(RUN, state, **more)
    DatasetRow(dataset="birds", last_run=RUN).save()
    answer = detect()
    assert answer.status == 409
    assert state in answer.error["message"]
    assert reason in answer.error["message"]
    assert hint in answer.error["hint"]


def test_a_champion_whose_endpoint_is_away(detect: Any, sagemaker: Stubber, champion: str) -> None:
    no_endpoint(sagemaker)
    answer = detect()
    assert (answer.status, answer.error["code"]) == (503, "model_unavailable")
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("code", "status", "ours"),
    [
        ("ModelError", 424, "model_failed"),
        ("ModelNotReadyException", 503, "model_unavailable"),
        ("ServiceUnavailable", 503, "model_unavailable"),
        ("ThrottlingException", 503, "model_unavailable"),
        ("InternalFailure", 503, "model_unavailable"),
        ("AccessDeniedException", 500, "internal_error"),
    ],
)
def test_a_model_that_fails(
    detect: Any,
    sagemaker: Stubber,
    champion: str,
    code: str,
    status: int,
    ours: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sagemaker.add_client_error("invoke_endpoint", code, "secret text of the SDK", 400)
    answer = detect()
    assert (answer.status, answer.error["code"]) == (status, ours)
    assert "secret" not in str(answer.body)
    # What ModelErrorsAlarm looks at; what is our own fault is an error of the API.
    assert ('"ModelErrors":[1.0]' in capsys.readouterr().out) == (status != 500)


def test_a_model_that_does_not_answer_in_time(
    detect: Any, sagemaker: Stubber, champion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_slow(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://runtime.sagemaker")

    monkeypatch.setattr(sagemaker.client, "invoke_endpoint", too_slow)
    answer = detect()
    assert (answer.status, answer.error["code"]) == (503, "model_unavailable")


@pytest.mark.parametrize("said", [b"<html>", {"boxes": []}, {"prediction": [[7, 0.9, 0, 0, 1, 1]]}])
def test_a_model_that_breaks_its_contract(detect: Any, answers: Any, champion: str, said: Any) -> None:
    answers(said)
    answer = detect()
    assert (answer.status, answer.error["code"]) == (502, "bad_model_answer")


def test_an_endpoint_that_somebody_else_made(detect: Any, answers: Any, champion: str) -> None:
    answers(TWO, variant="AllTraffic")
    answer = detect()
    assert (answer.status, answer.error["code"]) == (502, "bad_model_answer")


def test_a_picture_on_its_side(detect: Any, answers: Any, champion: str, photo: bytes) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(photo)).save(out, "JPEG", exif=exif.tobytes())
    answers({"prediction": [[0, 0.9, 0.5, 0.5, 1.0, 1.0]]})
    body = detect(body=out.getvalue()).body
    assert body["image"] == {"width": 480, "height": 640}
    assert body["detections"][0]["box"] == {"xmin": 240.0, "ymin": 320.0, "xmax": 480.0, "ymax": 640.0}
