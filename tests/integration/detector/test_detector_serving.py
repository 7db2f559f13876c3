"""The trained model behind real HTTP."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detector.invocations import Application

REPOSITORY = Path(__file__).parents[3]
PHOTO_SEED = 77


@pytest.fixture(scope="module")
def server(trained: Any, start: Callable[..., Any]) -> Iterator[tuple[int, Any]]:
    """A serving process on a free port."""
    command = start("serve", "--root", str(trained.root), "--port", "0")
    found = re.search(
        r"ready: nestbox-small on 127\.0\.0\.1:(\d+)", command.wait_for(lambda text: "ready:" in text)
    )
    assert found
    yield int(found[1]), command
    assert command.end(signal.SIGTERM) == 0


@pytest.fixture
def client(server: tuple[int, Any]) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server[0], timeout=60)
    yield connection
    connection.close()


def ask(
    client: http.client.HTTPConnection, body: bytes, content_type: str = "image/jpeg", **headers: str
) -> tuple[int, Any]:
    client.request("POST", "/invocations", body, {"Content-Type": content_type, **headers})
    response = client.getresponse()
    return response.status, json.loads(response.read())


def overlap(first: list[float], second: list[float]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    return common / (sum((b[2] - b[0]) * (b[3] - b[1]) for b in (first, second)) - common)


def test_it_is_alive_and_tells_its_limits(client: http.client.HTTPConnection) -> None:
    client.request("GET", "/ping")
    response = client.getresponse()
    assert (response.status, response.read()) == (200, b'{"ready":true}')
    client.request("GET", "/execution-parameters")
    limits = json.loads(client.getresponse().read())
    assert limits["BatchStrategy"] == "SINGLE_RECORD"
    assert limits["MaxPayloadInMB"] == 20
    assert limits["MaxConcurrentTransforms"] >= 1


def test_it_finds_what_it_learnt(client: http.client.HTTPConnection, draw: Callable[..., Any]) -> None:
    random = np.random.default_rng(PHOTO_SEED)
    right = 0
    for number in range(10):
        image, (class_id, *box) = draw(random, number % 2)
        status, answer = ask(client, image)
        assert status == 200
        rows = answer["prediction"]
        assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
        assert all(0 <= value <= 1 for row in rows for value in row[2:])
        right += rows[0][0] == class_id and overlap(rows[0][2:], box) > 0.5
    assert right >= 8


def test_png_and_generic_images_are_taken(
    client: http.client.HTTPConnection, draw: Callable[..., Any]
) -> None:
    image, _ = draw(np.random.default_rng(PHOTO_SEED), 0)
    png = cv2.imencode(".png", cv2.imdecode(np.frombuffer(image, np.uint8), 1))[1].tobytes()
    expected = ask(client, image)[1]
    assert ask(client, png, "image/png") == (200, expected)
    assert ask(client, png, "application/x-image") == (200, expected)


def test_annotations_are_in_pixels(client: http.client.HTTPConnection, draw: Callable[..., Any]) -> None:
    image, _ = draw(np.random.default_rng(PHOTO_SEED), 0)
    rows = ask(client, image)[1]["prediction"]
    status, answer = ask(client, image, Accept="application/json;annotation=1")
    assert status == 200
    assert answer["image_size"] == [{"width": 128, "height": 96, "depth": 3}]
    first = answer["annotations"][0]
    assert first["class_id"] == rows[0][0]
    assert first["score"] == rows[0][1]
    assert first["left"] == round(rows[0][2] * 128)
    assert first["top"] + first["height"] == round(rows[0][5] * 96)


def test_boxes_are_in_the_frame_people_see(
    client: http.client.HTTPConnection, draw: Callable[..., Any]
) -> None:
    upright, _ = draw(np.random.default_rng(PHOTO_SEED), 0)
    pixels = cv2.imdecode(np.frombuffer(upright, np.uint8), 1)
    # A camera held sideways: the sensor's picture is turned, and orientation 6 says how to turn it back.
    stored = cv2.imencode(".png", cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE))[1]
    turned = cv2.imencode(".jpg", cv2.imdecode(stored, 1), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    turned = turned[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + turned[2:]
    expected = ask(client, upright)[1]["prediction"][0]
    answer = ask(client, turned)[1]["prediction"][0]
    np.testing.assert_allclose(answer[2:], expected[2:], atol=0.05)
    _, annotated = ask(client, turned, Accept="application/json;annotation=1")
    assert annotated["image_size"] == [{"width": 128, "height": 96, "depth": 3}]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"no image", "image/jpeg", 400, "unreadable-image"),
        (b"", "image/png", 400, "unreadable-image"),
        (b"{}", "application/json", 415, "unsupported-media-type"),
    ],
)
def test_mistakes_are_answered_in_json_and_the_connection_lives_on(
    client: http.client.HTTPConnection, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = ask(client, body, content_type)
    assert answer[0] == status
    assert answer[1]["error"]["code"] == code
    assert set(answer[1]["error"]) == {"code", "message", "hint"}
    client.request("GET", "/ping")
    assert client.getresponse().status == 200


def test_a_body_too_large_is_refused_unread(server: tuple[int, Any]) -> None:
    with socket.create_connection(("127.0.0.1", server[0]), timeout=60) as raw:
        raw.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        head = raw.recv(4096)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head


def test_a_client_that_sends_too_much_at_once_still_reads_the_answer(
    client: http.client.HTTPConnection,
) -> None:
    status, answer = ask(client, bytes(21 * 2**20))
    assert status == 413
    assert answer["error"]["code"] == "too-large"


def test_a_client_that_asks_before_it_sends_is_answered_at_once(
    server: tuple[int, Any], draw: Callable[..., Any]
) -> None:
    image, _ = draw(np.random.default_rng(PHOTO_SEED), 0)
    head = f"POST /invocations HTTP/1.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n"
    with socket.create_connection(("127.0.0.1", server[0]), timeout=60) as raw:
        raw.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 100 ")
        raw.sendall(image)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_body_may_come_in_chunks(client: http.client.HTTPConnection, draw: Callable[..., Any]) -> None:
    image, _ = draw(np.random.default_rng(PHOTO_SEED), 0)
    expected = ask(client, image)
    pieces = (image[start : start + 1000] for start in range(0, len(image), 1000))
    client.request(
        "POST",
        "/invocations",
        pieces,
        {"Content-Type": "image/jpeg", "Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    response = client.getresponse()
    assert (response.status, json.loads(response.read())) == expected


def test_chunks_without_end_are_refused(client: http.client.HTTPConnection) -> None:
    pieces = (bytes(2**20) for _ in range(22))
    client.request(
        "POST",
        "/invocations",
        pieces,
        {"Content-Type": "image/jpeg", "Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    assert client.getresponse().status == 413


def test_requests_sent_ahead_are_answered_in_order(server: tuple[int, Any], draw: Callable[..., Any]) -> None:
    random = np.random.default_rng(PHOTO_SEED)
    images = [draw(random, number % 2)[0] for number in range(4)]
    connection = http.client.HTTPConnection("127.0.0.1", server[0], timeout=60)
    expected = [ask(connection, image)[1] for image in images]
    connection.close()
    with socket.create_connection(("127.0.0.1", server[0]), timeout=60) as raw:
        for image in images:
            head = (
                f"POST /invocations HTTP/1.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n"
            )
            raw.sendall(head.encode() + b"\r\n" + image)
        raw.sendall(b"GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: raw.recv(65536), b""))
    bodies = re.findall(rb'\{"prediction":.*?\]\}', answers)
    assert [json.loads(body) for body in bodies] == expected
    assert answers.endswith(b'{"ready":true}')


def test_clients_that_stall_hold_up_nobody(
    server: tuple[int, Any], client: http.client.HTTPConnection, draw: Callable[..., Any]
) -> None:
    image, _ = draw(np.random.default_rng(PHOTO_SEED), 0)
    stalled = [socket.create_connection(("127.0.0.1", server[0]), timeout=60) for _ in range(20)]
    for raw in stalled:
        raw.sendall(b"POST /invocations HTTP/1.1\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n")
        raw.sendall(image[:10])
    assert ask(client, image)[0] == 200
    for raw in stalled:
        raw.close()


def test_latency_is_measured(client: http.client.HTTPConnection, draw: Callable[..., Any]) -> None:
    image, _ = draw(np.random.default_rng(PHOTO_SEED), 0)
    ask(client, image)
    ask(client, b"no image")
    client.request("GET", "/metrics")
    response = client.getresponse()
    assert response.getheader("Content-Type", "").startswith("text/plain")
    figures = dict(line.rsplit(" ", 1) for line in response.read().decode().splitlines() if line[0] != "#")
    assert 0 < float(figures['nestbox_invocation_seconds{quantile="0.5"}']) < 60
    assert int(figures['nestbox_invocations_total{status="400"}']) >= 1
    assert figures["nestbox_invocation_seconds_count"] == figures['nestbox_invocations_total{status="200"}']


def test_what_is_under_way_is_answered_before_the_end(
    trained: Any, start: Callable[..., Any], draw: Callable[..., Any]
) -> None:
    image, _ = draw(np.random.default_rng(PHOTO_SEED), 0)
    command = start("serve", "--root", str(trained.root), "--port", "0")
    found = re.search(r"ready: \S+ on 127\.0\.0\.1:(\d+)", command.wait_for(lambda text: "ready:" in text))
    assert found
    with socket.create_connection(("127.0.0.1", int(found[1])), timeout=60) as raw:
        head = f"POST /invocations HTTP/1.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n"
        raw.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 100 ")
        command.process.send_signal(signal.SIGTERM)
        raw.sendall(image)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert command.end() == 0
    assert "POST /invocations 200" in command.text()


def test_serving_needs_no_mxnet(trained: Any) -> None:
    program = """import sys, pathlib
import detector.serving
from detector.inference import Detector
Detector.load(pathlib.Path(sys.argv[1]))
sys.exit("mxnet" in sys.modules)"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(trained.root / "model")],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert done.returncode == 0


def test_until_it_is_warm_it_is_not_ready() -> None:
    application = Application(lambda line: None)
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    for method, path in (("GET", "/ping"), ("POST", "/invocations")):
        asyncio.run(application({"method": method, "path": path, "headers": []}, receive, send))
    assert statuses == [503, 503]
    application.close()


def test_other_paths_are_not_found(client: http.client.HTTPConnection) -> None:
    for method in ("GET", "POST"):
        client.request(method, "/model", b"x" if method == "POST" else None)
        response = client.getresponse()
        assert response.status == 404
        assert json.loads(response.read())["error"]["code"] == "not-found"


def test_many_clients_get_the_same_answer(server: tuple[int, Any], draw: Callable[..., Any]) -> None:
    image, _ = draw(np.random.default_rng(PHOTO_SEED), 1)
    answers = []

    def client_thread() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server[0], timeout=60)
        answers.extend([json.dumps(ask(connection, image)) for _ in range(3)])
        connection.close()

    threads = [threading.Thread(target=client_thread) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 18
    assert len(set(answers)) == 1


def test_without_a_model_it_says_so_and_ends(tmp_path: Any, start: Callable[..., Any]) -> None:
    command = start("serve", "--root", str(tmp_path), "--port", "0")
    assert command.end() == 2
    assert "detector.json is missing" in command.text()
