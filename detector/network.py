"""The multi-box head and the small network: residual backbone, top-down merge, one head per level.

Every network here answers (class logits (batch, anchors, classes + 1), offsets (batch, anchors, 4)) to images
of shape (batch, 3, size, size), anchors in the order of `AnchorPlan.corners`.
"""

from typing import Any

from detector.anchors import AnchorPlan
from detector.mxnet_runtime import mx

nn = mx.gluon.nn

# oneDNN works in blocks of 16 channels; other widths run at a third of the speed.
_BLOCK = 16
_STEM = 16
_STAGES = ((4, 32), (8, 64), (16, 128), (32, 192))
_NECK = 64
_HEAD_DEVIATION = 0.01
_MOMENTUM = 0.9


def head_channels(shapes: int, num_classes: int) -> int:
    """Return how many channels a head has: classes + 5 for each anchor shape, rounded up to whole blocks."""
    return -(-shapes * (num_classes + 5) // _BLOCK) * _BLOCK


class MultiBoxHead(mx.gluon.HybridBlock):  # type: ignore[misc]
    """One convolution per level for classes and offsets together.

    Channel a * (classes + 5) + k of a level holds, for anchor shape a: background (k = 0), class k - 1, then
    4 offsets.
    """

    def __init__(self, num_classes: int, plan: AnchorPlan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._num_classes = num_classes
        self._shapes = [len(level.shapes) for level in plan.levels]
        with self.name_scope():
            self.levels = nn.HybridSequential(prefix="")
            for number, shapes in enumerate(self._shapes):
                self.levels.add(
                    nn.Conv2D(
                        head_channels(shapes, num_classes),
                        3,
                        padding=1,
                        weight_initializer=mx.init.Normal(_HEAD_DEVIATION),
                        prefix=f"level{number}_",
                    )
                )

    def hybrid_forward(self, F: Any, *features: Any) -> Any:  # noqa: N803
        """Answer for the features of every level, finest first."""
        width = self._num_classes + 5
        parts = []
        for convolution, feature, shapes in zip(self.levels, features, self._shapes, strict=True):
            answer = F.transpose(convolution(feature), (0, 2, 3, 1))
            answer = F.slice_axis(answer, axis=3, begin=0, end=shapes * width)
            parts.append(F.reshape(answer, (0, -1, width)))
        answers = F.concat(*parts, dim=1) if len(parts) > 1 else parts[0]
        classes = F.slice_axis(answers, axis=2, begin=0, end=self._num_classes + 1)
        offsets = F.slice_axis(answers, axis=2, begin=self._num_classes + 1, end=width)
        return classes, offsets


def normalise_and_activate(name: str, *, fused: bool, **settings: Any) -> Any:
    """Return batch normalisation and ReLU; `fused` into one operator, which computes the same to the bit."""
    if fused:
        return nn.BatchNormReLU(prefix=f"{name}_", **settings)
    block = nn.HybridSequential(prefix="")
    block.add(nn.BatchNorm(prefix=f"{name}_", **settings), nn.Activation("relu", prefix=f"{name}_relu_"))
    return block


def _convolution(
    channels: int, kernel: int, stride: int, name: str, *, fused: bool, activate: bool = True
) -> Any:
    block = nn.HybridSequential(prefix="")
    block.add(nn.Conv2D(channels, kernel, stride, kernel // 2, use_bias=False, prefix=f"{name}_conv_"))
    if activate:
        block.add(normalise_and_activate(f"{name}_norm", fused=fused, momentum=_MOMENTUM))
    else:
        block.add(nn.BatchNorm(momentum=_MOMENTUM, prefix=f"{name}_norm_"))
    return block


class _Residual(mx.gluon.HybridBlock):  # type: ignore[misc]
    """A bottleneck of half the width whose result is added to its input."""

    def __init__(self, channels: int, *, fused: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.narrow = _convolution(channels // 2, 1, 1, "narrow", fused=fused)
            self.wide = _convolution(channels, 3, 1, "wide", fused=fused, activate=False)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        return F.Activation(x + self.wide(self.narrow(x)), act_type="relu")


class SmallDetector(mx.gluon.HybridBlock):  # type: ignore[misc]
    """`nestbox-small`: about half a million weights, made to be trained from scratch on a few CPU cores."""

    def __init__(self, num_classes: int, plan: AnchorPlan, *, fused: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._strides = [level.stride for level in plan.levels]
        self._size = plan.image_size
        with self.name_scope():
            self.stem = _convolution(_STEM, 3, 2, "stem", fused=fused)
            self.stages = nn.HybridSequential(prefix="")
            for stride, channels in _STAGES:
                if stride > self._strides[-1]:
                    break
                stage = nn.HybridSequential(prefix="")
                stage.add(
                    _convolution(channels, 3, 2, f"stride{stride}_down", fused=fused),
                    _Residual(channels, fused=fused, prefix=f"stride{stride}_block_"),
                )
                self.stages.add(stage)
            self.laterals = nn.HybridSequential(prefix="")
            self.mixers = nn.HybridSequential(prefix="")
            for stride in self._strides:
                lateral = _convolution(_NECK, 1, 1, f"stride{stride}_lateral", fused=fused, activate=False)
                self.laterals.add(lateral)
                self.mixers.add(_convolution(_NECK, 3, 1, f"stride{stride}_mixer", fused=fused))
            self.head = MultiBoxHead(num_classes, plan, prefix="head_")

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        """Answer for normalised RGB images."""
        x = self.stem(x)
        features = []
        for (stride, _), stage in zip(_STAGES, self.stages, strict=False):
            x = stage(x)
            if stride in self._strides:
                features.append(x)
        merged = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        for finer in range(len(merged) - 2, -1, -1):
            ratio = self._strides[finer + 1] // self._strides[finer]
            coarse = F.UpSampling(merged[finer + 1], scale=ratio, sample_type="nearest")
            if self._size % self._strides[-1]:
                # Grids of an input that is no multiple of the coarsest cell do not nest; the overhang is cut.
                coarse = F.slice_like(coarse, merged[finer], axes=(2, 3))
            merged[finer] = merged[finer] + coarse
        mixed = [
            mixer(F.Activation(level, act_type="relu"))
            for mixer, level in zip(self.mixers, merged, strict=True)
        ]
        return self.head(*mixed)
