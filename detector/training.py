"""The training loop: epochs of steps, a score after each, the best one kept."""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from detector.batches import BatchMaker, View, Views
from detector.checkpoint import Checkpoint, CheckpointFolder
from detector.errors import DivergedError, HyperparameterError
from detector.evaluation import Evaluator, Score
from detector.flat_weights import DECAYED, UNDECAYED, FlatWeights, MovingAverage
from detector.hyperparameters import Hyperparameters
from detector.metrics_log import SCORE_DIGITS, MetricsLog
from detector.mxnet_runtime import mx
from detector.replicas import Replicas
from detector.schedule import choose_schedule
from detector.weights import Weights, put_weights, take_weights

_BATCHES_BETWEEN_LINES = 20
SCORE_NOISE = 0.005
"""By how much mAP on a few dozen validation images differs for no reason."""


@dataclass(frozen=True)
class Best:
    """The weights worth keeping, the epoch (from 0) they come from, the input's side in pixels that they were
    scored at (see `InputSizes`), and the score; None if none was scored.

    Once an epoch has seen images in full, those on small inputs count no more, and of epochs whose scores
    differ by no more than chance the latest counts: on few validation images chance puts any of them first,
    and the boxes of later ones fit more closely.
    """

    epoch: int
    size: int
    score: Score | None
    weights: Weights


class Stepper:
    """One optimiser step on one batch, nothing else. A context manager, as it may have processes to end."""

    def __init__(
        self, network: Any, hyperparameters: Hyperparameters, makers: Sequence[BatchMaker], log: MetricsLog
    ) -> None:
        """`network` is trained by as many replicas as there are `makers`."""
        _freeze(network, hyperparameters.freeze_layer_pattern, log)
        self.network = network
        self.weights = FlatWeights(network, len(makers))
        self._groups = self.weights.groups()
        optimizer = mx.optimizer.create(hyperparameters.optimizer, **_optimizer_arguments(hyperparameters))
        optimizer.set_wd_mult({UNDECAYED: 0.0})
        self._updater = mx.optimizer.get_updater(optimizer)
        focal = hyperparameters.nestbox_loss == "focal"
        self._decay = hyperparameters.nestbox_weight_decay
        self._replicas = Replicas(network, self.weights, makers, focal=focal)

    def step(self, views: Sequence[View], learning_rate: float) -> tuple[float, float]:
        """Train on one batch; return its cross entropy and smooth L1, per positive anchor."""
        losses = self._replicas.gradients(views)
        share = 1.0 / max(losses.positives, 1)
        optimizer = self._updater.optimizer
        optimizer.lr, optimizer.rescale_grad = learning_rate, share
        for group, (values, gradients) in self._groups.items():
            self._updater(group, gradients, values)
            if group == DECAYED and self._decay:
                # Beside what the optimiser does and not through it, so that Adam does not scale it away
                # (arXiv:1711.05101).
                values *= 1 - learning_rate * self._decay
        return losses.cross_entropy * share, losses.smooth_l1 * share

    def state(self) -> bytes:
        """Return the optimiser's state."""
        return bytes(self._updater.get_states(dump_optimizer=True))

    def resume(self, state: bytes) -> None:
        """Go on from what `state` returned."""
        self._updater.set_states(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._replicas.__exit__(*details)


class Training:
    """Trains a network and keeps the best epoch of its averaged weights."""

    def __init__(
        self,
        hyperparameters: Hyperparameters,
        stepper: Stepper,
        averaged: Any,
        views: Views,
        evaluators: Mapping[int, Evaluator],
        log: MetricsLog,
        checkpoints: CheckpointFolder,
        should_stop: Callable[[], bool],
    ) -> None:
        """`averaged`: a second network of the architecture that is trained, for the averaged weights.
        `evaluators`: for each size of the views, as weights are worth most at the size that they were trained
        at.
        """
        self._hyperparameters = hyperparameters
        self._stepper = stepper
        self._averaged = averaged
        self._views = views
        self._sizes = views.sizes
        self._evaluators = evaluators
        self._log = log
        self._checkpoints = checkpoints
        self._should_stop = should_stop
        self._average = MovingAverage(stepper.weights)
        self._schedule = choose_schedule(hyperparameters, views.steps_per_epoch)
        self._first_epoch = 0
        self._best: Best | None = None
        self._highest = 0.0
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
        steps = self._views.steps_per_epoch
        entropy = smooth = 0.0
        started = time.perf_counter()
        for number, views in enumerate(self._views.epoch(epoch), 1):
            step = epoch * steps + number
            losses = self._stepper.step(views, self._schedule.rate(step - 1))
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
        if not self._stepper.weights.all_finite():
            raise self._diverged(f"a weight is no number after epoch {epoch}")
        images = steps * self._hyperparameters.mini_batch_size
        self._log.throughput(images / (time.perf_counter() - started))
        self._log.epoch_losses(epoch, entropy / steps, smooth / steps)
        return True

    def _score_epoch(self, epoch: int) -> bool:
        """Return False if stopped before the score was known."""
        size = self._sizes.at(epoch)
        self._average.put(self._averaged)
        score = self._evaluators[size].evaluate(self._averaged, self._should_stop)
        if score is None:
            return False
        self._log.input_size(epoch, size)
        self._log.validation_map(epoch, score.mean)
        # As others read it in the log, so that they choose the same epoch.
        reached = round(score.mean, SCORE_DIGITS)
        if self._best is None or self._best.size != size:
            gained, self._highest = True, reached
        else:
            before, self._highest = self._highest, max(self._highest, reached)
            tolerance = self._hyperparameters.early_stopping_tolerance
            gained = reached > before and reached - before >= tolerance * before
        self._epochs_without_gain = 0 if gained else self._epochs_without_gain + 1
        if reached >= self._highest - SCORE_NOISE:
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
            # Epochs on small inputs lead to those in full.
            and epoch >= self._sizes.change
            and self._epochs_without_gain >= settings.early_stopping_patience
        )

    def _checkpoint(self, epoch: int) -> Checkpoint:
        assert self._best is not None
        assert self._best.score is not None
        state = {
            "epoch": epoch,
            "best_epoch": self._best.epoch,
            "highest": self._highest,
            "average_precision": {str(k): v for k, v in self._best.score.by_class.items()},
            "epochs_without_gain": self._epochs_without_gain,
        }
        return Checkpoint(
            state,
            take_weights(self._stepper.network),
            take_weights(self._averaged),
            self._best.weights,
            self._stepper.state(),
        )

    def _resume(self) -> None:
        checkpoint = self._checkpoints.read()
        if checkpoint is None:
            return
        self._stepper.weights.put(self._stepper.network, checkpoint.trained)
        put_weights(self._averaged, checkpoint.averaged)
        self._average.take(self._averaged)
        self._stepper.resume(checkpoint.optimizer)
        state = checkpoint.state
        precision = {int(class_id): value for class_id, value in state["average_precision"].items()}
        best = state["best_epoch"]
        self._best = Best(best, self._sizes.at(best), Score(precision), checkpoint.best)
        self._highest = state["highest"]
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
