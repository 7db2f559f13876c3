"""The log lines from which SageMaker's metric definitions and Nestbox read a training job's course."""

import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

SCORE_DIGITS = 6
"""Digits behind the point of losses and scores; whoever reads the log knows no more of them."""


class MetricsLog:
    """Writes log lines as the built-in algorithm does, each flushed at once for CloudWatch to see."""

    def __init__(self, host: str = "algo-1", stream: TextIO | None = None) -> None:
        self._host = host
        self._stream = stream if stream is not None else sys.stdout

    def info(self, message: str) -> None:
        """Write one line for people."""
        self._write("INFO", message)

    def warning(self, message: str) -> None:
        """Write one line about something that is probably not as intended."""
        self._write("WARNING", message)

    def error(self, message: str) -> None:
        """Write one line about why the job ends."""
        self._write("ERROR", message)

    def batch_losses(self, epoch: int, batch: int, cross_entropy: float, smooth_l1: float) -> None:
        """Write the mean losses of an epoch up to and including one batch."""
        self._quality(epoch, f"batch={batch} train cross_entropy <loss>", cross_entropy)
        self._quality(epoch, f"batch={batch} train smooth_l1 <loss>", smooth_l1)

    def epoch_losses(self, epoch: int, cross_entropy: float, smooth_l1: float) -> None:
        """Write the mean losses of a whole epoch."""
        self._quality(epoch, "train cross_entropy <loss>", cross_entropy)
        self._quality(epoch, "train smooth_l1 <loss>", smooth_l1)

    def input_size(self, epoch: int, pixels: int) -> None:
        """Write at which input side an epoch was trained and is scored; a score at another compares ill."""
        self.info(f"#input_metric: host={self._host}, epoch={epoch}, input size={pixels} pixels")

    def validation_map(self, epoch: int, mean_average_precision: float) -> None:
        """Write the score of an epoch."""
        self._quality(epoch, "validation mAP <score>", mean_average_precision)

    def throughput(self, records_per_second: float) -> None:
        """Write how fast the epoch was trained, evaluation left out."""
        self.info(
            f"#throughput_metric: host={self._host}, train throughput={records_per_second:.4f} records/second"
        )

    def progress(self, completed: int, total: int) -> None:
        """Write which share of the epochs is done."""
        self.info(f"#progress_metric: host={self._host}, completed {100 * completed // total} % of epochs")

    def _quality(self, epoch: int, name: str, value: float) -> None:
        self.info(f"#quality_metric: host={self._host}, epoch={epoch}, {name}=({value:.{SCORE_DIGITS}f})")

    def _write(self, level: str, message: str) -> None:
        now = datetime.now(UTC).strftime("%m/%d/%Y %H:%M:%S")
        self._stream.write(f"[{now} {level} {threading.get_ident()}] {message}\n")
        self._stream.flush()
