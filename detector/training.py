"""The training loop: epochs of steps, a score after each, the best one kept."""

import math
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.batches import Batch, BatchLoader
from detector.checkpoint import Checkpoint, CheckpointFolder
from detector.errors import DivergedError, HyperparameterError
from detector.evaluation import Evaluator, Score
from detector.hyperparameters import Hyperparameters
from detector.loss import ssd_losses
from detector.metrics_log import MetricsLog
from detector.mxnet_runtime import mx
from detector.schedule import choose_schedule
from detector.weights import MovingAverage, Weights, all_finite, put_weights, take_weights

_BATCHES_BETWEEN_LINES = 20


@dataclass(frozen=True)
class Best:
    """The weights worth keeping, the epoch (from 0) they come from, the input's side in pixels that they were
    scored at (see `InputSizes`), and the score; None if none was scored.
    """

    epoch: int
    size: int
    score: Score | None
    weights: Weights


class Stepper:
    """One optimiser step on one batch, nothing else: the compute that the loop around must not slow down."""

    def __init__(self, network: Any, hyperparameters: Hyperparameters) -> None:
        self._network = network
        self._focal = hyperparameters.nestbox_loss == "focal"
        self.trainer = mx.gluon.Trainer(
            network.collect_params(),
            hyperparameters.optimizer,
            _optimizer_arguments(hyperparameters),
            kvstore=None,
        )

    def step(self, batch: Batch, learning_rate: float) -> tuple[float, float]:
        """Train on one batch; return its cross entropy and smooth L1."""
        images = mx.nd.array(batch.images)
        with mx.autograd.record():
            class_logits, offsets = self._network(images)
            losses = ssd_losses(class_logits, offsets, batch, focal=self._focal)
            total = losses.cross_entropy + losses.smooth_l1
        total.backward()
        self.trainer.set_learning_rate(learning_rate)
        self.trainer.step(1)
        return float(losses.cross_entropy.asscalar()), float(losses.smooth_l1.asscalar())


class Training:
    """Trains a network and keeps the best epoch of its averaged weights."""

    def __init__(
        self,
        hyperparameters: Hyperparameters,
        networks: tuple[Any, Any],
        loader: BatchLoader,
        evaluators: Mapping[int, Evaluator],
        log: MetricsLog,
        checkpoints: CheckpointFolder,
        should_stop: Callable[[], bool],
    ) -> None:
        """`networks`: the one to train and a second of the same architecture for the averaged weights.
        `evaluators`: for each size of the loader's images, as weights are worth most at the size that they
        were trained at.
        """
        self._hyperparameters = hyperparameters
        self._trained, self._averaged = networks
        self._loader = loader
        self._sizes = loader.sizes
        self._evaluators = evaluators
        self._log = log
        self._checkpoints = checkpoints
        self._should_stop = should_stop
        _freeze(self._trained, hyperparameters.freeze_layer_pattern, log)
        self._stepper = Stepper(self._trained, hyperparameters)
        self._average = MovingAverage(self._trained, self._averaged)
        self._schedule = choose_schedule(hyperparameters, loader.steps_per_epoch)
        self._first_epoch = 0
        self._best: Best | None = None
        self._epochs_without_gain = 0

    def run(self) -> Best:
        """Train until the epochs are over, early stopping ends it or a stop is asked for; return the best.

        Raises DivergedError when the loss is no number any more.
        """
        self._resume()
        total = self._hyperparameters.epochs
        epoch = self._first_epoch
        for epoch in range(self._first_epoch, total):
            if not self._train_epoch(epoch) or not self._score_epoch(epoch):
                self._log.info("Stop requested: ending with the best model so far")
                break
            self._log.progress(epoch + 1, total)
            if self._stops_early(epoch):
                self._log.info(f"Early stopping: no gain in {self._epochs_without_gain} epochs")
                break
            if self._checkpoints.is_due(last=epoch + 1 == total):
                self._checkpoints.write(self._checkpoint(epoch))
        if self._best is not None:
            return self._best
        return Best(epoch, self._sizes.at(epoch), None, take_weights(self._averaged))

    def _train_epoch(self, epoch: int) -> bool:
        """Return False if stopped before the end."""
        steps = self._loader.steps_per_epoch
        entropy = smooth = 0.0
        started = time.perf_counter()
        for number, batch in enumerate(self._loader.epoch(epoch), 1):
            step = epoch * steps + number
            losses = self._stepper.step(batch, self._schedule.rate(step - 1))
            if not all(map(math.isfinite, losses)):
                raise self._diverged(f"the loss became {sum(losses)} in epoch {epoch}, batch {number - 1}")
            self._average.update(step)
            entropy += losses[0]
            smooth += losses[1]
            if number % _BATCHES_BETWEEN_LINES == 0 or number == steps:
                self._log.batch_losses(epoch, number - 1, entropy / number, smooth / number)
            if self._should_stop():
                return False
        # oneDNN's ReLU turns what is no number into 0, so a broken layer need not show in the loss.
        if not all_finite(self._trained):
            raise self._diverged(f"a weight is no number after epoch {epoch}")
        images = steps * self._hyperparameters.mini_batch_size
        self._log.throughput(images / (time.perf_counter() - started))
        self._log.epoch_losses(epoch, entropy / steps, smooth / steps)
        return True

    def _score_epoch(self, epoch: int) -> bool:
        """Return False if stopped before the score was known."""
        size = self._sizes.at(epoch)
        score = self._evaluators[size].evaluate(self._averaged, self._should_stop)
        if score is None:
            return False
        self._log.validation_map(epoch, score.mean)
        best = self._best.score.mean if self._best is not None and self._best.score is not None else None
        tolerance = self._hyperparameters.early_stopping_tolerance
        gained = best is None or (score.mean > best and score.mean - best >= tolerance * best)
        self._epochs_without_gain = 0 if gained else self._epochs_without_gain + 1
        # Of equal scores the later one has seen more; small validation sets tie often.
        if best is None or score.mean >= best:
            self._best = Best(epoch, size, score, take_weights(self._averaged))
        return True

    def _diverged(self, how: str) -> DivergedError:
        rate = self._hyperparameters.learning_rate
        return DivergedError(f"training diverged: {how}; lower learning_rate (now {rate:g})")

    def _stops_early(self, epoch: int) -> bool:
        settings = self._hyperparameters
        return (
            settings.early_stopping
            and epoch + 1 >= settings.early_stopping_min_epochs
            # The weights have to get used to the larger input first.
            and epoch + 1 >= self._sizes.change + settings.early_stopping_patience
            and self._epochs_without_gain >= settings.early_stopping_patience
        )

    def _checkpoint(self, epoch: int) -> Checkpoint:
        assert self._best is not None
        assert self._best.score is not None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "states"
            self._stepper.trainer.save_states(str(path))
            optimizer = path.read_bytes()
        state = {
            "epoch": epoch,
            "best_epoch": self._best.epoch,
            "average_precision": {str(k): v for k, v in self._best.score.by_class.items()},
            "epochs_without_gain": self._epochs_without_gain,
        }
        return Checkpoint(
            state, take_weights(self._trained), take_weights(self._averaged), self._best.weights, optimizer
        )

    def _resume(self) -> None:
        checkpoint = self._checkpoints.read()
        if checkpoint is None:
            return
        put_weights(self._trained, checkpoint.trained)
        put_weights(self._averaged, checkpoint.averaged)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "states"
            path.write_bytes(checkpoint.optimizer)
            self._stepper.trainer.load_states(str(path))
        state = checkpoint.state
        precision = {int(class_id): value for class_id, value in state["average_precision"].items()}
        best = state["best_epoch"]
        self._best = Best(best, self._sizes.at(best), Score(precision), checkpoint.best)
        self._epochs_without_gain = state["epochs_without_gain"]
        self._first_epoch = state["epoch"] + 1
        self._log.info(f"Resuming from the checkpoint of epoch {state['epoch']}")


def _optimizer_arguments(settings: Hyperparameters) -> dict[str, float]:
    arguments = {"learning_rate": settings.learning_rate}
    if settings.optimizer == "sgd":
        arguments["momentum"] = settings.momentum
    if settings.optimizer in ("sgd", "rmsprop"):
        arguments["wd"] = settings.weight_decay
    return arguments


def _freeze(network: Any, pattern: str, log: MetricsLog) -> None:
    """Do not train parameters whose name begins as the pattern says; let no bias or norm decay.

    Raises HyperparameterError when nothing is left to train.
    """
    matched = 0
    for name, parameter in network.collect_params().items():
        if name.endswith(("gamma", "beta", "bias")):
            parameter.wd_mult = 0.0
        if pattern and re.match(pattern, name):
            parameter.grad_req = "null"
            matched += 1
    if pattern and not matched:
        log.warning(f"freeze_layer_pattern={pattern!r} matches no layer; every layer is trained")
    if all(parameter.grad_req == "null" for parameter in network.collect_params().values()):
        raise HyperparameterError(
            [f"freeze_layer_pattern={pattern!r} freezes every layer, so nothing is left to train; narrow it"]
        )
