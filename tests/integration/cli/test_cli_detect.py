"""`nestbox detect` over real HTTP, against a server that answers in the API's shapes."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image

from cli.main import main

TOKEN = "nb_" + "a" * 43


class Api(BaseHTTPRequestHandler):
    """Answers one box in the middle of whatever picture it is sent."""

    requests: ClassVar[list[dict[str, object]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append({"path": self.path, "headers": dict(self.headers), "bytes": len(body)})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"error": {"code": "unauthorized", "message": "Token refused.", "hint": ""}})
            return
        width, height = Image.open(io.BytesIO(body)).size
        box = {"xmin": width / 4, "ymin": height / 4, "xmax": width / 2, "ymax": height / 2}
        self._answer(
            200,
            {
                "dataset": "birds",
                "run": "birds-20261124224000-1a2b",
                "image": {"width": width, "height": height},
                "detections": [{"class": "Robin", "score": 0.9, "box": box}],
                "model_latency_ms": 3.0,
            },
        )

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""

    def _answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NESTBOX_TOKEN", raising=False)
    Api.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def picture(path: Path, size: tuple[int, int] = (80, 60), **options: object) -> Path:
    Image.new("RGB", size, (90, 140, 90)).save(path, **options)
    return path


def test_asks_for_each_picture_and_draws_the_boxes(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [str(picture(tmp_path / name)) for name in ("a.jpg", "b.png")]
    arguments = ["--dataset", "birds", "--threshold", "0.3", "--out", str(tmp_path / "out")]
    assert main(["detect", *images, "--url", url, "--token", TOKEN, *arguments, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["file"] for answer in answers] == images
    assert answers[0]["detections"][0]["box"] == {"xmin": 20, "ymin": 15, "xmax": 40, "ymax": 30}
    assert {str(one["path"]) for one in Api.requests} == {"/v1/detect/birds?threshold=0.3"}
    assert {one["headers"]["Content-Type"] for one in Api.requests} == {"image/jpeg", "image/png"}
    for answer in answers:
        drawn = Image.open(answer["out"])
        assert drawn.size == (80, 60)
        assert len(drawn.getcolors(maxcolors=10_000)) > 20


def test_a_picture_too_large_for_the_api_is_shrunk_and_its_boxes_are_enlarged(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.detect.MAX_BYTES", 100)
    monkeypatch.setattr("cli.detect.SENT_EDGE", 400)
    image = picture(tmp_path / "large.jpg", (800, 600))
    assert main(["detect", str(image), "--url", url, "--token", TOKEN, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["image"] == {"width": 800, "height": 600}
    assert answer["detections"][0]["box"] == {"xmin": 200, "ymin": 150, "xmax": 400, "ymax": 300}
    assert Api.requests[0]["path"] == "/v1/detect"


def test_a_refusal_is_the_apis_own_words_and_what_to_do(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = picture(tmp_path / "a.jpg")
    assert main(["detect", str(image), "--url", url, "--token", "nb_wrong"]) == 1
    told = capsys.readouterr().err
    assert "Token refused." in told
    assert "nestbox token create" in told


def test_without_a_token_the_error_says_how_to_make_one(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = picture(tmp_path / "a.jpg")
    assert main(["detect", str(image), "--url", url]) == 64
    assert "nestbox token create" in capsys.readouterr().err
    assert Api.requests == []


def test_what_is_no_picture_is_not_sent(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    assert main(["detect", str(tmp_path / "a.jpg"), "--url", url, "--token", TOKEN]) == 2
    assert "no picture" in capsys.readouterr().err
    assert Api.requests == []


def test_nobody_at_the_address_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = picture(tmp_path / "a.jpg")
    assert main(["detect", str(image), "--url", "http://127.0.0.1:9/v1", "--token", TOKEN]) == 1
    assert "cannot be reached" in capsys.readouterr().err
