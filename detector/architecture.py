"""Choosing and building the network that `base_network` names."""

from collections.abc import Sequence
from typing import Any

from detector.anchors import AnchorPlan, derive_plan, ssd_plan
from detector.base_networks import RESNET_FINEST_STRIDE, VGG_FINEST_STRIDE, ResNet50, SsdDetector, Vgg16
from detector.boxes import Labels
from detector.hyperparameters import SMALL_NETWORK
from detector.mxnet_runtime import mx
from detector.network import SmallDetector

_DEFAULT_SSD_SIZE = 300


def plan_for(base_network: str, labels: Sequence[Labels], image_size: int | None) -> AnchorPlan:
    """Return a base network's geometry: derived from the labels for the small one, else SSD's own."""
    if base_network == SMALL_NETWORK:
        return derive_plan(labels, image_size)
    finest = RESNET_FINEST_STRIDE if base_network == "resnet-50" else VGG_FINEST_STRIDE
    return ssd_plan(image_size or _DEFAULT_SSD_SIZE, finest)


def build_network(
    base_network: str, num_classes: int, plan: AnchorPlan, *, for_training: bool = False
) -> Any:
    """Return a freshly initialised, hybridised network; all parameters have their shapes and stable names.

    `for_training`: with oneDNN's fused operators where the build has them, which take a tenth less time and
    give the same numbers, but which other programs that read the graph do not know.
    """
    fused = for_training and hasattr(mx.nd.contrib, "BatchNormWithReLU") and mx.current_context() == mx.cpu()
    if base_network == SMALL_NETWORK:
        network = SmallDetector(num_classes, plan, fused=fused, prefix="")
    else:
        base = ResNet50 if base_network == "resnet-50" else Vgg16
        network = SsdDetector(base, num_classes, plan, fused=fused, prefix="")
    network.initialize(mx.init.MSRAPrelu("in", 0))
    network.hybridize(static_alloc=True, static_shape=True)
    # One small pass settles the deferred shapes.
    network(mx.nd.zeros((1, 3, plan.image_size, plan.image_size)))
    return network
