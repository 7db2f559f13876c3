"""Epochs from the log lines of a training job, the built-in algorithm's or ours.

    #quality_metric: host=algo-1, epoch=0, batch=2 train cross_entropy <loss>=(1.3711)   (within the epoch)
    #quality_metric: host=algo-1, epoch=0, train cross_entropy <loss>=(0.9022)
    #quality_metric: host=algo-1, epoch=0, train smooth_l1 <loss>=(0.4311)
    #input_metric: host=algo-1, epoch=0, input size=96 pixels
    #quality_metric: host=algo-1, epoch=0, validation mAP <score>=(0.1234)
    #throughput_metric: host=algo-1, train throughput=123.4 records/second
    #progress_metric: host=algo-1, completed 10 % of epochs

A value that is no finite number is missing; missing is never 0. Only ours tells the input's size: a training
may begin on small inputs.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

SCORE_NOISE = 0.005
"""By how much the mAP of our detector's epochs differs for no reason; it goes by the same."""

_QUALITY = re.compile(
    r"#quality_metric:.*?\bepoch=(?P<epoch>\d+),?\s+(?P<batch>batch=\d+,?\s+)?"
    r"(?P<metric>train cross_entropy|train smooth_l1|validation mAP) <\w+>=\((?P<value>[^)]*)\)"
)
_THROUGHPUT = re.compile(r"#throughput_metric:.*?train throughput=(?P<value>\S+) records/second")
_INPUT = re.compile(r"#input_metric:.*?\bepoch=(?P<epoch>\d+), input size=(?P<pixels>\d{1,5}) pixels")
_PROGRESS = re.compile(r"#progress_metric:.*?completed (?P<percent>[\d.]+) ?% of epochs")


class LogLine(NamedTuple):
    """One line of a log and when it was written."""

    at: datetime
    text: str


@dataclass(frozen=True)
class Epoch:
    """One epoch, with what its log said so far. ``at`` is when the last of it was logged."""

    epoch: int
    at: datetime
    validation_map: float | None = None
    train_cross_entropy: float | None = None
    train_smooth_l1: float | None = None
    seconds: float | None = None
    """From the end of the epoch before; unknown of the first."""
    images_per_second: float | None = None
    input_size: int | None = None
    """The side in pixels at which images were seen; None: the same in all epochs."""


@dataclass(frozen=True)
class TrainingLog:
    """What a training log says: epochs in order, and whether it reports the end of training."""

    epochs: tuple[Epoch, ...]
    finished: bool


def read_log(lines: Iterable[LogLine]) -> TrainingLog:
    """The epochs in the lines of a log, in the order written.

    Reading may begin in the middle, best with the last line of an epoch: the next one's time counts from it.
    An epoch that was trained twice, as after an interruption of spot capacity, counts as the last time.
    """
    epochs: dict[int, Epoch] = {}
    ends: dict[int, datetime] = {}
    current = 0
    finished = False
    for line in lines:
        if quality := _QUALITY.search(line.text):
            current = int(quality["epoch"])
            value = _finite(quality["value"])
            if quality["batch"] is None and value is not None:
                known = epochs.get(current, Epoch(current, line.at))
                epochs[current] = _with_metric(replace(known, at=line.at), quality["metric"], value)
                ends[current] = line.at
        elif size := _INPUT.search(line.text):
            current = int(size["epoch"])
            known = epochs.get(current, Epoch(current, line.at))
            epochs[current] = replace(known, input_size=int(size["pixels"]))
        elif throughput := _THROUGHPUT.search(line.text):
            value = _finite(throughput["value"])
            if value is not None:
                known = epochs.get(current, Epoch(current, line.at))
                epochs[current] = replace(known, images_per_second=value)
        elif progress := _PROGRESS.search(line.text):
            finished = finished or float(progress["percent"]) >= 100
    return TrainingLog(tuple(replace(epochs[n], seconds=_seconds(n, ends)) for n in sorted(epochs)), finished)


def best_epoch(epochs: Iterable[Epoch]) -> Epoch | None:
    """The epoch whose weights are in the artefact; None: none was scored.

    The one with the highest mAP on the validation images, and of equals the latest: it has seen more. Of
    ours, which tell the input's size, only those that saw the largest inputs count, and as equal counts what
    differs by no more than chance.
    """
    scored = [(epoch, epoch.validation_map) for epoch in epochs if epoch.validation_map is not None]
    largest = max((epoch.input_size or 0 for epoch, _ in scored), default=0)
    compared = [(epoch, score) for epoch, score in scored if (epoch.input_size or 0) == largest]
    least = max((score for _, score in compared), default=0.0) - (SCORE_NOISE if largest else 0.0)
    equals = [epoch for epoch, score in compared if score >= least]
    return max(equals, key=lambda epoch: epoch.epoch, default=None)


def _with_metric(epoch: Epoch, metric: str, value: float) -> Epoch:
    if metric == "validation mAP":
        return replace(epoch, validation_map=value)
    if metric == "train cross_entropy":
        return replace(epoch, train_cross_entropy=value)
    return replace(epoch, train_smooth_l1=value)


def _seconds(epoch: int, ends: Mapping[int, datetime]) -> float | None:
    begin, end = ends.get(epoch - 1), ends.get(epoch)
    if begin is None or end is None or end <= begin:
        return None
    return round((end - begin).total_seconds(), 3)


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
