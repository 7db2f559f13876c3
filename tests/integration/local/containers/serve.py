"""A serving container for tests: `serve.py ROOT PORT`, behaviour by the model's `behaviour`."""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

root, port = Path(sys.argv[1]), int(sys.argv[2])
model = json.loads((root / "model" / "weights.json").read_text())
print(f"serving {model}", flush=True)
if model.get("behaviour") == "crash":
    sys.exit(1)
pairs = threading.Barrier(2)
failed: set[bytes] = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/execution-parameters" and "parameters" in model:
            self._answer(200, json.dumps(model["parameters"]).encode())
        else:
            self._answer(200 if self.path == "/ping" else 404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"bad":
            self._answer(415, b"no picture")
        elif body == b"die":
            sys.stdout.flush()
            os._exit(1)
        elif body == b"broken" or (body.startswith(b"flaky") and body not in failed):
            failed.add(body)
            self._answer(500, b"out of order")
        elif body == b"sleep":
            print("sleeping", flush=True)
            time.sleep(120)
        elif body.startswith(b"pair"):
            pairs.wait(20)
            self._answer(200, body)
        elif body == b"environment":
            found = {
                name: value for name, value in os.environ.items() if name.startswith(("SAGEMAKER", "MY"))
            }
            self._answer(200, json.dumps(found).encode())
        elif self.headers["Content-Type"] == "text/csv":
            self._answer(200, body.upper())
        else:
            answer = {
                "model": model,
                "bytes": len(body),
                "type": self.headers["Content-Type"],
                "accept": self.headers["Accept"],
            }
            self._answer(200, json.dumps(answer).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
