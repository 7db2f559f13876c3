"""The base networks of the built-in algorithm under SSD: ResNet-50 (pre-activation) and VGG-16 (reduced).

Layers bear the names they have in MXNet's own `resnet-50` and `vgg16` weight files (`conv0`,
`stage1_unit1_conv1`, `conv1_1`, ...), which `freeze_layer_pattern` refers to.
"""

from typing import Any

from detector.anchors import AnchorPlan
from detector.mxnet_runtime import mx
from detector.network import MultiBoxHead, normalise_and_activate

nn = mx.gluon.nn

RESNET_FINEST_STRIDE = 16
VGG_FINEST_STRIDE = 8

_RESNET_STAGES = ((3, 256, 1), (4, 512, 2), (6, 1024, 2), (3, 2048, 2))
_RESNET_NORM = {"epsilon": 2e-5, "momentum": 0.9}
_VGG_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_VGG_SCALE = 20.0
_EXTRA_CHANNELS = 256
_FIRST_EXTRA_CHANNELS = 512


def _convolution(channels: int, kernel: int, name: str, stride: int = 1, **kwargs: Any) -> Any:
    padding = kwargs.pop("padding", kernel // 2)
    return nn.Conv2D(channels, kernel, stride, padding, prefix=f"{name}_", **kwargs)


class _PreActivationUnit(mx.gluon.HybridBlock):  # type: ignore[misc]
    """A bottleneck of ResNet's second version: normalise and activate, then convolve."""

    def __init__(self, channels: int, stride: int, *, widens: bool, fused: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.active1 = normalise_and_activate("bn1", fused=fused, **_RESNET_NORM)
            self.conv1 = _convolution(channels // 4, 1, "conv1", use_bias=False)
            self.active2 = normalise_and_activate("bn2", fused=fused, **_RESNET_NORM)
            self.conv2 = _convolution(channels // 4, 3, "conv2", stride, use_bias=False)
            self.active3 = normalise_and_activate("bn3", fused=fused, **_RESNET_NORM)
            self.conv3 = _convolution(channels, 1, "conv3", use_bias=False)
            self.shortcut = _convolution(channels, 1, "sc", stride, use_bias=False) if widens else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        active = self.active1(x)
        shortcut = self.shortcut(active) if self.shortcut is not None else x
        y = self.conv1(active)
        y = self.conv2(self.active2(y))
        y = self.conv3(self.active3(y))
        return y + shortcut


class ResNet50(mx.gluon.HybridBlock):  # type: ignore[misc]
    """Features at 16 and 32 pixels a cell."""

    def __init__(self, *, fused: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.stem = nn.HybridSequential(prefix="")
            self.stem.add(
                nn.BatchNorm(scale=False, prefix="bn_data_", **_RESNET_NORM),
                _convolution(64, 7, "conv0", 2, use_bias=False),
                normalise_and_activate("bn0", fused=fused, **_RESNET_NORM),
                nn.MaxPool2D(3, 2, 1, prefix="pool0_"),
            )
            self.stages = nn.HybridSequential(prefix="")
            for number, (units, channels, stride) in enumerate(_RESNET_STAGES, 1):
                stage = nn.HybridSequential(prefix="")
                for unit in range(1, units + 1):
                    first = unit == 1
                    name = f"stage{number}_unit{unit}_"
                    unit_stride = stride if first else 1
                    stage.add(
                        _PreActivationUnit(channels, unit_stride, widens=first, fused=fused, prefix=name)
                    )
                self.stages.add(stage)
            self.last_active = normalise_and_activate("bn1", fused=fused, **_RESNET_NORM)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[2], self.last_active(features[3])


class _ScaledNorm(mx.gluon.HybridBlock):  # type: ignore[misc]
    """Brings all pixels' features to one length, learned per channel, so that early features do not shout."""

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.scale = self.params.get(
                "scale", shape=(1, channels, 1, 1), init=mx.init.Constant(_VGG_SCALE)
            )

    def hybrid_forward(self, F: Any, x: Any, scale: Any) -> Any:  # noqa: N803
        return F.broadcast_mul(F.L2Normalization(x, mode="channel"), scale)


class Vgg16(mx.gluon.HybridBlock):  # type: ignore[misc]
    """Features at 8 and 16 pixels a cell; the fully connected layers became dilated convolutions."""

    def __init__(self, *, fused: bool, **kwargs: Any) -> None:  # noqa: ARG002 (it has no normalisation)
        super().__init__(**kwargs)
        with self.name_scope():
            self.blocks = nn.HybridSequential(prefix="")
            for number, (layers, channels) in enumerate(_VGG_BLOCKS, 1):
                block = nn.HybridSequential(prefix="")
                for layer in range(1, layers + 1):
                    name = f"conv{number}_{layer}"
                    block.add(
                        _convolution(channels, 3, name),
                        nn.Activation("relu", prefix=f"relu{number}_{layer}_"),
                    )
                self.blocks.add(block)
            self.norm = _ScaledNorm(512, prefix="relu4_3_")
            self.dense = nn.HybridSequential(prefix="")
            self.dense.add(
                _convolution(1024, 3, "fc6", dilation=6, padding=6),
                nn.Activation("relu", prefix="relu6_"),
                _convolution(1024, 1, "fc7"),
                nn.Activation("relu", prefix="relu7_"),
            )

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        early = x
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number == 4:
                early = self.norm(x)
            last = number == len(_VGG_BLOCKS)
            # The last pooling keeps the grid; rounding up makes grids ceil(size / stride) as anchors expect.
            x = F.Pooling(
                x,
                kernel=(3, 3) if last else (2, 2),
                stride=(1, 1) if last else (2, 2),
                pad=(1, 1) if last else (0, 0),
                pool_type="max",
                pooling_convention="full",
            )
        return early, self.dense(x)


class SsdDetector(mx.gluon.HybridBlock):  # type: ignore[misc]
    """A base network's two feature levels, extra levels that halve the grid, and a multi-box head on all."""

    def __init__(
        self,
        base: type[ResNet50] | type[Vgg16],
        num_classes: int,
        plan: AnchorPlan,
        *,
        fused: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.base = base(prefix="", fused=fused)
            self.extras = nn.HybridSequential(prefix="")
            for number in range(len(plan.levels) - 2):
                channels = _EXTRA_CHANNELS if number else _FIRST_EXTRA_CHANNELS
                extra = nn.HybridSequential(prefix="")
                extra.add(
                    _convolution(channels // 2, 1, f"extra{number}_narrow"),
                    nn.Activation("relu", prefix=f"extra{number}_narrow_relu_"),
                    _convolution(channels, 3, f"extra{number}_down", 2),
                    nn.Activation("relu", prefix=f"extra{number}_down_relu_"),
                )
                self.extras.add(extra)
            self.head = MultiBoxHead(num_classes, plan, prefix="head_")

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803, ARG002
        """Answer for normalised RGB images."""
        features = list(self.base(x))
        for extra in self.extras:
            features.append(extra(features[-1]))
        return self.head(*features)
