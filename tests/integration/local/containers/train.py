"""A training container for tests: `train.py ROOT`, behaviour by the hyperparameter `behaviour`."""

import json
import os
import signal
import sys
import time
from pathlib import Path

root = Path(sys.argv[1])
config = root / "input" / "config"
parameters = json.loads((config / "hyperparameters.json").read_text())
channels = json.loads((config / "inputdataconfig.json").read_text())
files = {}
for name in channels:
    folder = root / "input" / "data" / name
    files[name] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
print(json.dumps({"files": files, "channels": channels, "job": os.environ["TRAINING_JOB_NAME"]}), flush=True)
behaviour = parameters.get("behaviour", "succeed")
(root / "model" / "weights.json").write_text(json.dumps(parameters))
if behaviour == "fail":
    (root / "output" / "failure").write_text("the label width does not fit")
    sys.exit(3)
if behaviour == "sleep":

    def leave(*_: object) -> None:
        (root / "model" / "stopped").write_text("yes")
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    print("sleeping", flush=True)
    time.sleep(120)
if behaviour == "checkpoint":
    before = sorted(p.name for p in (root / "checkpoints").iterdir())
    print(f"found {before}", flush=True)
    (root / "checkpoints" / f"epoch-{len(before)}").write_text("state")
print("#quality_metric: host=algo-1, epoch=0, validation mAP <score>=(0.4321)", flush=True)
