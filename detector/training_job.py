"""The `train` command: from `/opt/ml` as SageMaker lays it out to a model in it, or a failure's reason."""

import signal
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from detector.anchors import AnchorPlan
from detector.architecture import build_network, plan_for
from detector.artefact import Artefact, graph_of, read_channel, write_artefact
from detector.batches import Mosaics, Views
from detector.boxes import Labels
from detector.checkpoint import CheckpointFolder, fingerprint
from detector.cores import available_cores
from detector.description import Description
from detector.errors import (
    ArtefactError,
    ChannelError,
    DetectorError,
    HyperparameterError,
    LabelError,
    ProblemsError,
    RecordIOError,
)
from detector.evaluation import Evaluator, summarise_samples
from detector.hyperparameters import SMALL_NETWORK, Hyperparameters, as_text, parse
from detector.image_memory import ImageMemory, memory_for_images
from detector.images import to_square
from detector.inference import Detector
from detector.input_sizes import constant, first_size, progressive
from detector.metrics_log import MetricsLog
from detector.mxnet_runtime import mx, plain_message, training_device
from detector.onnx_check import greatest_difference
from detector.opt_ml import OptMl
from detector.pretrained import (
    ZooError,
    find_in_folder,
    find_pretrained,
    pretrained_folder,
    read_pretrained,
    zoo_file,
)
from detector.recordio_dataset import Sample, read_dataset
from detector.replicas import batch_makers
from detector.shortages import find_shortage
from detector.training import Best, Stepper, Training
from detector.warm_start import check_reusable, grow, known_classes, unlearnt_share
from detector.weights import put_weights, take_weights

EXIT_OK, EXIT_FAULT, EXIT_CLIENT = 0, 1, 2

# From which overlap an anchor stands for a box, and from which it is not asked for an answer.
_OVERLAPS = (0.5, 0.5)
_SMALL_OVERLAPS = (0.45, 0.35)
_IMAGES_TO_CHECK = 8
# SageMaker kills a job 120 seconds after it asked it to stop.
_SECONDS_LEFT_TO_MEASURE = 45


class StopRequest:
    """Becomes true when SageMaker asks the job to end: SIGTERM, then 120 seconds until SIGKILL."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._asked

    def listen(self) -> None:
        """Take over SIGTERM. Main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True


def run_training_job(layout: OptMl) -> int:
    """Run a training job and return the process's exit code; a failure's reason goes to the failure file."""
    stop = StopRequest()
    stop.listen()
    try:
        with training_device():
            _train(layout, stop)
    except Exception as error:  # noqa: BLE001 - outermost frame: people see only what the failure file says
        code, reason = _explain(error)
        if code == EXIT_FAULT:
            traceback.print_exc(file=sys.stderr)
        log = MetricsLog()
        try:
            layout.write_failure(reason)
        except OSError as unwritable:
            log.error(f"The failure file cannot be written: {unwritable}")
        log.error(reason)
        return code
    return EXIT_OK


def _explain(error: Exception) -> tuple[int, str]:
    """Return the exit code, and the failure's reason in one sentence."""
    known = find_shortage(error) or error
    if isinstance(known, DetectorError):
        return EXIT_CLIENT, f"ClientError: {known}"
    return EXIT_FAULT, f"AlgorithmError: {type(error).__name__}: {plain_message(error)}"


def _train(layout: OptMl, stop: StopRequest) -> None:
    started = time.perf_counter()
    settings, train, validation = _read_inputs(layout)
    log = MetricsLog(layout.host())
    if layout.hosts() > 1:
        log.warning("this detector trains on one machine; every host trains the whole job by itself")
    if settings.num_training_samples != len(train):
        log.warning(
            f"num_training_samples={settings.num_training_samples}, but channel 'train' has {len(train)} "
            "records; the schedule follows the records"
        )
    labels = [sample.labels for sample in train]
    plan, previous = _plan(layout, settings, labels, log)
    with ThreadPoolExecutor(available_cores()) as pool:
        budget = memory_for_images()
        images = ImageMemory(train, plan.image_size, pool, budget)
        log.info(
            f"{len(train)} training images read in {time.perf_counter() - started:.1f} s, "
            f"{images.kept_share:.0%} kept in memory; "
            f"input {plan.image_size} px, cells of {[level.stride for level in plan.levels]} px, "
            f"{len(plan.corners())} anchors"
        )
        mx.random.seed(settings.nestbox_seed)
        trained = build_network(settings.base_network, settings.num_classes, plan, for_training=True)
        averaged = build_network(settings.base_network, settings.num_classes, plan)
        known = _put_previous(previous, trained, settings, log) if previous is not None else None
        warm = known is not None
        unlearnt = 1.0
        if previous is not None and known is not None:
            unlearnt = unlearnt_share(previous.description, known, len(train))
        boxes_per_image = sum(map(len, labels)) / len(labels)
        settings = parse(layout.hyperparameters(), unlearnt, plan.image_size, boxes_per_image)
        log.info(f"Final configuration: {as_text(settings)}")
        small = settings.base_network == SMALL_NETWORK
        if settings.use_pretrained_model and not small and not warm:
            _put_pretrained(layout, trained, settings.base_network, log)
        overlaps = _SMALL_OVERLAPS if small else _OVERLAPS
        sizes = constant(plan.image_size)
        # Whoever starts from a model has learnt on small inputs already.
        if small and settings.nestbox_progressive and not warm:
            sizes = progressive(plan.image_size, settings.epochs)
            log.info(f"Input {sizes.first} px for {sizes.change} of {settings.epochs} epochs")
        seen = {sizes.first, sizes.final}
        evaluators = {
            size: _evaluator(validation, plan.at(size), settings, budget // 4 // len(seen), pool)
            for size in seen
        }
        checkpoints = CheckpointFolder(layout.checkpoints, fingerprint(settings, train), log)
        mosaics = Mosaics.while_training(settings.nestbox_mosaic, settings.epochs)
        views = Views(len(train), sizes, settings.mini_batch_size, settings.nestbox_seed, mosaics)
        with ExitStack() as stack:
            makers = [
                stack.enter_context(maker)
                for maker in batch_makers(images, labels, plan, sizes, settings.mini_batch_size, overlaps)
            ]
            stepper = stack.enter_context(Stepper(trained, settings, makers, log))
            best = Training(settings, stepper, averaged, views, evaluators, log, checkpoints, stop).run()
        if best.size != plan.image_size:
            plan = plan.at(best.size)
            averaged = build_network(settings.base_network, settings.num_classes, plan)
        evaluator = evaluators[best.size]
        put_weights(averaged, best.weights)
        description = _describe(settings, plan, len(train), best, warm)
        if best.score is not None:
            description = _measure(description, evaluator, averaged, validation, stop, log)
        artefact = Artefact(description, graph_of(averaged), best.weights)
        served = artefact.to_onnx()
        _check_served(served, description, averaged, evaluator)
    write_artefact(layout.model, artefact, served)
    scored = f"validation mAP {best.score.mean:.4f}" if best.score else "not scored"
    log.info(f"Model of epoch {best.epoch} written ({scored}) after {time.perf_counter() - started:.1f} s")


def _evaluator(
    validation: Sequence[Sample],
    plan: AnchorPlan,
    settings: Hyperparameters,
    budget: int,
    pool: ThreadPoolExecutor,
) -> Evaluator:
    size = plan.image_size
    return Evaluator(
        ImageMemory(validation, size, pool, budget, lambda image: to_square(image, size)),
        [sample.labels for sample in validation],
        plan,
        settings.nms_threshold,
        settings.overlap_threshold,
        pool,
    )


def _measure(
    description: Description,
    evaluator: Evaluator,
    network: Any,
    validation: Sequence[Sample],
    stop: StopRequest,
    log: MetricsLog,
) -> Description:
    """Add to a description what the weights that are written achieve, operating thresholds included."""
    started = time.monotonic()
    detections = evaluator.detect(
        network, lambda: stop() and time.monotonic() - started > _SECONDS_LEFT_TO_MEASURE
    )
    if detections is None:
        log.warning("No time is left to choose operating thresholds, so the model has none")
        return description
    names = description.classes or tuple(map(str, range(description.num_classes)))
    summary = summarise_samples(detections, validation, names)
    thresholds = {str(number): round(value, 4) for number, value in enumerate(summary.thresholds)}
    log.info(
        "Operating thresholds: "
        + ", ".join(f"{name} {value:g}" for name, value in zip(names, thresholds.values(), strict=True))
    )
    return replace(description, operating_thresholds=thresholds, validation=summary.to_json(points=0))


def _check_served(served: bytes, description: Description, network: Any, evaluator: Evaluator) -> None:
    """Raise RuntimeError where ONNX Runtime does not give the boxes that MXNet gives: a fault of ours."""
    difference, allowed = greatest_difference(
        network, Detector(description, served), description.plan, evaluator.first_planes(_IMAGES_TO_CHECK)
    )
    if not difference <= allowed:
        raise RuntimeError(
            f"the ONNX network's answers differ from MXNet's by {difference:.2g}, more than {allowed:.2g}"
        )


def _describe(
    settings: Hyperparameters, plan: AnchorPlan, training_samples: int, best: Best, warm: bool
) -> Description:
    return Description(
        base_network=settings.base_network,
        num_classes=settings.num_classes,
        plan=plan,
        nms_threshold=settings.nms_threshold,
        overlap_threshold=settings.overlap_threshold,
        training_samples=training_samples,
        best_epoch=best.epoch,
        validation_map=best.score.mean if best.score else None,
        average_precision={str(k): v for k, v in best.score.by_class.items()} if best.score else {},
        warm_start=warm,
        classes=settings.nestbox_class_names,
        hyperparameters=as_text(settings),
    )


def _read_inputs(layout: OptMl) -> tuple[Hyperparameters, list[Sample], list[Sample]]:
    """Read and check everything that can be wrong with the job, so that one failure names it all."""
    problems: list[str] = []
    settings = None
    try:
        settings = parse(layout.hyperparameters())
    except (HyperparameterError, ChannelError) as error:
        problems += error.problems
    files = {}
    for channel in ("train", "validation"):
        try:
            files[channel] = layout.records(channel)
        except ChannelError as error:
            problems += error.problems
    if problems or settings is None:
        raise ProblemsError(problems)
    splits = {}
    for channel, paths in files.items():
        try:
            samples = read_dataset(paths, settings.num_classes, settings.label_width)
        except LabelError as error:
            problems += [f"channel '{channel}': {problem}" for problem in error.problems]
        except RecordIOError as error:
            problems.append(f"channel '{channel}': {error}")
        else:
            splits[channel] = samples
            if not any(len(sample.labels) for sample in samples):
                problems.append(f"channel '{channel}' has {len(samples)} images but no box in any of them")
    if problems:
        raise ProblemsError(problems)
    return settings, splits["train"], splits["validation"]


def _in_full(previous: Artefact, image_size: int) -> Artefact:
    """Return a model that was stopped before it saw images in full as one for them; others as they are."""
    description = previous.description
    if description.plan.image_size != first_size(image_size):
        return previous
    return replace(previous, description=replace(description, plan=description.plan.at(image_size)))


def _put_previous(
    previous: Artefact, network: Any, settings: Hyperparameters, log: MetricsLog
) -> list[int | None] | None:
    """Give the network the previous model's weights and return what that one knows (see `known_classes`).

    None where it cannot be used; the log says why.
    """
    known = known_classes(previous.description, settings)
    try:
        put_weights(network, grow(previous, take_weights(network), known))
    except ArtefactError as error:
        log.warning(f"The model in channel 'model' is damaged, so training starts fresh: {error}")
        return None
    names = settings.nestbox_class_names or range(settings.num_classes)
    new = [str(name) for name, source in zip(names, known, strict=True) if source is None]
    log.info(f"New classes: {', '.join(new) or 'none'}")
    return known


def _put_pretrained(layout: OptMl, network: Any, base_network: str, log: MetricsLog) -> None:
    """Start the base network from ImageNet's weights; the log says whence, or that there are none."""

    def put(path: Path) -> None:
        put_weights(network, read_pretrained(path, base_network, take_weights(network)))

    folder = pretrained_folder()
    for where, path in (
        ("channel 'model'", find_pretrained(layout.previous_model())),
        (str(folder), find_in_folder(base_network, folder)),
    ):
        if path is not None:
            put(path)
            log.info(f"Base network starts from {path.name} of {where}")
            return
    try:
        with zoo_file(base_network) as path:
            put(path)
            log.info(f"Base network starts from {path.name} of MXNet's model zoo")
    except ZooError as error:
        log.warning(
            f"use_pretrained_model asks for ImageNet weights of {base_network}, and there are none: neither "
            f"channel 'model' nor {folder} has a weight file, and MXNet's model zoo cannot be used "
            f"({error}). Training from scratch"
        )


def _plan(
    layout: OptMl, settings: Hyperparameters, labels: Sequence[Labels], log: MetricsLog
) -> tuple[AnchorPlan, Artefact | None]:
    """Return the geometry and the model to start from, if the `model` channel has one to build on."""
    fresh = plan_for(settings.base_network, labels, settings.image_shape)
    folder = layout.previous_model()
    if folder is None or find_pretrained(folder) is not None:
        return fresh, None
    try:
        previous = _in_full(read_channel(folder), fresh.image_size)
        check_reusable(previous, settings, fresh, labels)
    except ArtefactError as error:
        log.warning(
            f"The model in channel 'model' is no start for this training, so it starts fresh: {error}"
        )
        return fresh, None
    log.info(
        f"Starting from the model in channel 'model' ({previous.description.num_classes} classes, "
        f"{previous.description.plan.image_size} px)"
    )
    return previous.description.plan, previous
