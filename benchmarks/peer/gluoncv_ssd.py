"""Trains GluonCV's SSD on a .rec file for some minutes, in the peer's own environment.

    python gluoncv_ssd.py --train train.rec --test test.rec --classes 3 --model NAME --minutes 3 --out FOLDER

The recipe is that of GluonCV's `scripts/detection/ssd/train_ssd.py` as its documentation describes it: its
default transform (colour, expansion, constrained crops, flips), targets made by the loader's workers, its
multi-box loss, SGD with momentum .9 and weight decay .0005; from scratch. After each minute of training the
test images are detected, which does not count as time, and written as `found-MINUTE.npy`: rows of (image,
class, score, xmin, ymin, xmax, ymax), corners relative to the picture. `course.json` holds the images/s.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

warnings.filterwarnings("ignore")
# MXNet 1.9.1 and GluonCV use names that numpy has dropped since.
for _name, _type in (("bool", bool), ("float", float), ("int", int), ("object", object)):
    setattr(np, _name, _type)

import mxnet as mx  # noqa: E402
from gluoncv import data as gdata  # noqa: E402
from gluoncv import model_zoo  # noqa: E402
from gluoncv.data.batchify import Pad, Stack, Tuple  # noqa: E402
from gluoncv.data.transforms.presets.ssd import (  # noqa: E402
    SSDDefaultTrainTransform,
    SSDDefaultValTransform,
)
from gluoncv.loss import SSDMultiBoxLoss  # noqa: E402
from mxnet import autograd, gluon  # noqa: E402

_TEST_BATCH = 8


def main() -> int:
    """Train, detect at every minute, write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument(
        "--model", required=True, help="a name of GluonCV's, such as ssd_512_mobilenet1.0_custom"
    )
    parser.add_argument("--size", type=int, help="input pixels; by default what the model's name says")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--learning-rate", type=float, default=0.001, help="GluonCV's default")
    parser.add_argument("--batch-size", type=int, default=32, help="GluonCV's default")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    np.random.seed(options.seed)
    mx.random.seed(options.seed)
    size = options.size or int(options.model.split("_")[1])
    names = [str(number) for number in range(options.classes)]
    network = model_zoo.get_model(options.model, classes=names, pretrained=False, pretrained_base=False)
    network.initialize()
    with autograd.train_mode():
        _, _, anchors = network(mx.nd.zeros((1, 3, size, size)))
    network.hybridize()
    loader = gluon.data.DataLoader(
        gdata.RecordFileDetection(str(options.train)).transform(
            SSDDefaultTrainTransform(size, size, anchors)
        ),
        options.batch_size,
        shuffle=True,
        batchify_fn=Tuple(Stack(), Stack(), Stack()),
        last_batch="rollover",
        num_workers=options.workers,
    )
    trainer = gluon.Trainer(
        network.collect_params(),
        "sgd",
        {"learning_rate": options.learning_rate, "wd": 0.0005, "momentum": 0.9},
        kvstore=None,
    )
    loss = SSDMultiBoxLoss()
    clock, images, minute, course = 0.0, 0, 1, []
    while clock < 60 * options.minutes:
        started = time.perf_counter()
        for batch in loader:
            # Workers hand over shared memory, which the network takes for another device.
            pixels, class_targets, box_targets = (part.as_in_context(mx.cpu()) for part in batch)
            with autograd.record():
                classes, boxes, _ = network(pixels)
                total, _, _ = loss([classes], [boxes], [class_targets], [box_targets])
                autograd.backward(total)
            trainer.step(1)
            total[0].wait_to_read()
            images += len(pixels)
            passed = clock + time.perf_counter() - started
            if passed >= 60 * min(minute, options.minutes):
                # What was traced for training does not detect, nor the other way round.
                network.set_nms(nms_thresh=0.45, nms_topk=400)
                found = _detect(network, options.test, size)
                network.set_nms(nms_thresh=0.45, nms_topk=400)
                network.hybridize()
                np.save(options.out / f"found-{minute}.npy", found)
                course.append({"minute": minute, "seconds": passed, "images": images})
                print(json.dumps(course[-1]), flush=True)
                minute += 1
                clock, started = passed, time.perf_counter()
            if passed >= 60 * options.minutes:
                clock = passed
                break
        else:
            clock += time.perf_counter() - started
    result = {"images_per_second": images / clock, "course": course}
    (options.out / "course.json").write_text(json.dumps(result))
    return 0


def _detect(network: Any, test: Path, size: int) -> npt.NDArray[np.float32]:
    loader = gluon.data.DataLoader(
        gdata.RecordFileDetection(str(test)).transform(SSDDefaultValTransform(size, size)),
        _TEST_BATCH,
        batchify_fn=Tuple(Stack(), Pad(pad_val=-1)),
        last_batch="keep",
    )
    rows = []
    first = 0
    for pixels, _ in loader:
        ids, scores, boxes = (part.asnumpy() for part in network(pixels.as_in_context(mx.cpu())))
        for number in range(len(ids)):
            kept = ids[number, :, 0] >= 0
            rows.append(
                np.column_stack(
                    [
                        np.full(kept.sum(), first + number, np.float32),
                        ids[number][kept],
                        scores[number][kept],
                        boxes[number][kept] / size,
                    ]
                )
            )
        first += len(ids)
    return np.concatenate(rows) if rows else np.zeros((0, 7), np.float32)


if __name__ == "__main__":
    sys.exit(main())
