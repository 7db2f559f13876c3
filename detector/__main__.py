"""The commands of the container, `train` and `serve`, and what else can be done with a model.

`evaluate` scores it on a dataset, `export` writes it for other programs.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

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
    export = commands.add_parser("export", help="write a model as one file that other programs can run")
    export.add_argument("--model", type=Path, required=True, help="a model's folder, or its model.tar.gz")
    export.add_argument("--to", choices=("onnx",), required=True, help="the file's format")
    export.add_argument("--out", type=Path, required=True, help="the file to write")
    export.add_argument(
        "--check", action="store_true", help="hold its boxes against MXNet's; exit 1 if they differ"
    )
    options = parser.parse_args(arguments)
    # Imports come late: --help should not load MXNet.
    if options.command == "evaluate":
        from detector.model_evaluation import run_evaluation

        return run_evaluation(
            options.model, options.data, options.classes, as_json=options.json, out=options.out
        )
    if options.command == "export":
        from detector.model_export import run_export

        return run_export(options.model, options.out, check=options.check)
    layout = OptMl(options.root)
    if options.command == "train":
        from detector.training_job import run_training_job

        return run_training_job(layout)
    from detector.serving import run_server

    return run_server(layout.model, options.host, options.port)


if __name__ == "__main__":
    sys.exit(main())
