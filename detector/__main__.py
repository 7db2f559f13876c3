"""The commands of the container, `train` and `serve`, and `evaluate`, which scores a model on a dataset."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from detector.hyperparameters import SMALL_NETWORK
from detector.opt_ml import OptMl


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="detector", description="Train and serve object detectors.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a model as a SageMaker training job does")
    serve = commands.add_parser("serve", help="answer detection requests as a SageMaker endpoint does")
    for command in (train, serve):
        command.add_argument("--root", type=Path, default=Path("/opt/ml"), help="stands for /opt/ml")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; a container needs 0.0.0.0")
    serve.add_argument("--port", type=int, default=8080)
    evaluate = commands.add_parser("evaluate", help="score a model on a RecordIO file")
    evaluate.add_argument("--model", type=Path, required=True, help="a model's folder, or its model.tar.gz")
    evaluate.add_argument("--data", type=Path, required=True, help="a .rec file with boxes as labels")
    evaluate.add_argument(
        "--classes", type=Path, help="classes.json, the names in id order; otherwise the model's own"
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.add_argument("--out", type=Path, help="also write the JSON to a file")
    options = parser.parse_args(arguments)
    # Imports come late: --help should not load MXNet.
    if options.command == "evaluate":
        from detector.model_evaluation import run_evaluation

        return run_evaluation(
            options.model, options.data, options.classes, as_json=options.json, out=options.out
        )
    layout = OptMl(options.root)
    if options.command == "train":
        from detector.training_job import run_training_job

        return run_training_job(layout)
    _choose_threads(layout.model)
    from detector.serving import run_server

    return run_server(layout.model, options.host, options.port)


def _choose_threads(model: Path) -> None:
    """Give the small network one thread for a forward pass; MXNet must know before it is imported.

    Its layers are too short to be shared: a second thread makes an answer slower and costs a core.
    """
    try:
        description = json.loads((model / "detector.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Reading the model says what is wrong with it.
        return
    if isinstance(description, dict) and description.get("base_network") == SMALL_NETWORK:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


if __name__ == "__main__":
    sys.exit(main())
