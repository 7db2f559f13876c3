"""Writing a trained network as an ONNX model: normalisation folded into convolutions, boxes decoded.

The model takes `data` (batch, 3, size, size) and gives `scores` (batch, classes, anchors), the likelihood of
each class at each anchor, and `boxes` (batch, 4, anchors), corners relative to the image. What remains to be
done is to suppress boxes that are too close, see `detections.select_decoded`.

Anchors come last, in the order level, shape, row, column: every value lies beside its equals, so that
decoding takes a third of the time that it takes where the values of one anchor lie together. It costs nothing
to have it so, since the order of a head's channels is that of the rows of its weights.

MXNet's own exporter is not used: it knows neither `slice_like` nor inputs of any batch size, and it leaves
the normalisation beside the convolutions and the answers in the order of training.
"""

import ast
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, helper, numpy_helper

from detector.anchors import AnchorPlan, Level
from detector.boxes import LOG_RATIO_LIMIT, VARIANCES
from detector.errors import ArtefactError
from detector.weights import Weights

INPUT, SCORES, BOXES = "data", "scores", "boxes"

_OPSET = 17
_IR_VERSION = 8
# As in MXNet's L2Normalization.
_LENGTH_FLOOR = 1e-10
# What a `MultiBoxHead` does to its convolutions; here the order of their channels takes its place.
_OF_HEADS = frozenset({"transpose", "slice_axis", "Reshape"})

Attributes = dict[str, Any]


def to_onnx(graph: str, weights: Weights, plan: AnchorPlan, metadata: Mapping[str, str]) -> ModelProto:
    """Return a network as an ONNX model that carries `metadata`.

    graph: an MXNet graph as JSON, whose head is a `MultiBoxHead`. Raises ArtefactError where it is no
    network of this package.
    """
    writer = _Writer(weights)
    classes = writer.translate(json.loads(graph), plan)
    anchors = sum(_cells(plan, level) ** 2 * len(level.shapes) for level in plan.levels)
    size = plan.image_size
    model = helper.make_model(
        helper.make_graph(
            writer.nodes,
            "nestbox-detector",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 3, size, size])],
            [
                helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["batch", classes, anchors]),
                helper.make_tensor_value_info(BOXES, TensorProto.FLOAT, ["batch", 4, anchors]),
            ],
            writer.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="nestbox-detector",
    )
    helper.set_model_props(model, dict(metadata))
    return model


def anchors_last(values: npt.NDArray[np.float32], plan: AnchorPlan) -> npt.NDArray[np.float32]:
    """Bring (batch, anchors, k) in the order of `AnchorPlan.corners` into the model's (batch, k, anchors)."""
    parts, start = [], 0
    for level in plan.levels:
        shapes, cells = len(level.shapes), _cells(plan, level) ** 2
        part = values[:, start : start + cells * shapes].reshape(len(values), cells, shapes, -1)
        parts.append(part.transpose(0, 3, 2, 1).reshape(len(values), -1, shapes * cells))
        start += cells * shapes
    return np.concatenate(parts, axis=2)


def _cells(plan: AnchorPlan, level: Level) -> int:
    """Return how many cells a side of the level's grid has."""
    return -(-plan.image_size // level.stride)


class _Writer:
    """Translates an MXNet graph node by node; a value's name is that of the node that makes it."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._translations: dict[str, Callable[[str, list[str], Attributes], None]] = {
            "Convolution": self._convolution,
            "BatchNorm": self._normalisation,
            "Activation": self._activation,
            "Pooling": self._pooling,
            "UpSampling": self._upsampling,
            "L2Normalization": self._unit_length,
            "slice_like": self._cut,
            "elemwise_add": lambda name, inputs, _: self._add("Add", name, inputs),
            "broadcast_mul": self._scale,
        }

    def translate(self, graph: dict[str, Any], plan: AnchorPlan) -> int:
        """Write the network with its decoding; return the number of classes."""
        nodes = graph["nodes"]
        parts = [number for number, node in enumerate(nodes) if node["op"] == "Reshape"]
        # What a head does to its convolution: transpose, cut off the padding, reshape.
        heads = [_ancestor(nodes, number, 3) for number in parts]
        if len(heads) != len(plan.levels) or any(nodes[head]["op"] != "Convolution" for head in heads):
            raise ArtefactError("the network's head is not of the kind that can be written as ONNX")
        width = int(_read(nodes[parts[0]]["attrs"])["shape"][2])
        for head, level in zip(heads, plan.levels, strict=True):
            self._head(
                nodes[head]["name"], _inputs(nodes, nodes[head]), _read(nodes[head]["attrs"]), width, level
            )
        body = self.nodes
        self.nodes = []
        self._translate_body(nodes[: max(heads)], set(heads))
        self.nodes += body
        self._decode([nodes[head]["name"] for head in heads], width - 4, plan)
        return width - 5

    def _translate_body(self, nodes: list[Any], left_out: set[int]) -> None:
        readers = Counter(source for node in nodes for source, *_ in node["inputs"])
        norms = {
            source: node
            for node in nodes
            if node["op"] == "BatchNorm"
            and nodes[source := node["inputs"][0][0]]["op"] == "Convolution"
            and readers[source] == 1
        }
        folded = {node["name"] for node in norms.values()}
        for number, node in enumerate(nodes):
            if node["op"] == "null" or number in left_out or node["name"] in folded:
                continue
            inputs, attributes = _inputs(nodes, node), _read(node.get("attrs", {}))
            if number in norms:
                norm = norms[number]
                scale, shift = self._scale_and_shift(_inputs(nodes, norm)[1:], _read(norm["attrs"]))
                self._convolution(norm["name"], inputs, attributes, scale, shift)
            elif node["op"] in self._translations:
                self._translations[node["op"]](node["name"], inputs, attributes)
            elif node["op"] not in _OF_HEADS:
                raise ArtefactError(
                    f"the network has the operator {node['op']}, which cannot be written as ONNX"
                )

    def _head(self, name: str, inputs: list[str], attributes: Attributes, width: int, level: Level) -> None:
        """Write a head's convolution without its padding, channels in the order value, shape."""
        shapes = len(level.shapes)
        order = np.arange(shapes * width).reshape(shapes, width).T.ravel()
        self._write_convolution(
            f"{name}_levels",
            inputs[0],
            attributes,
            self._weights[inputs[1]][order],
            self._weights[inputs[2]][order],
        )
        self._add("Reshape", name, [f"{name}_levels", self._integers(f"{name}_shape", 0, width, -1)])

    def _decode(self, heads: list[str], outcomes: int, plan: AnchorPlan) -> None:
        """Turn raw answers into `scores` and `boxes`, as `boxes.decode` does.

        outcomes: how many classes there are, background among them.
        """
        self._add("Concat", "answers", heads, axis=2)
        parts = {"logits": outcomes, "offsets_centre": 2, "offsets_sides": 2}
        self._split("answers", parts)
        axis = self._integers("class_axis", 1)
        # Softmax itself works along the last axis only and turns everything around for any other.
        self._add("ReduceMax", "highest", ["logits"], axes=[1])
        self._add("Sub", "lowered", ["logits", "highest"])
        self._add("Exp", "exponentials", ["lowered"])
        self._add("ReduceSum", "total", ["exponentials", axis])
        self._split("exponentials", {"background": 1, "exponentials_classes": outcomes - 1})
        self._add("Div", SCORES, ["exponentials_classes", "total"])
        xmin, ymin, xmax, ymax = anchors_last(plan.corners()[None], plan)[0]
        sides = np.stack([xmax - xmin, ymax - ymin])
        centres = np.stack([xmin + xmax, ymin + ymax]) / 2
        limit = np.float32(LOG_RATIO_LIMIT)
        self._add("Mul", "moved", ["offsets_centre", self._constant("moves", sides * VARIANCES[:2, None])])
        self._add("Add", "centre", ["moved", self._constant("centres", centres)])
        self._add("Mul", "log_ratio", ["offsets_sides", self._constant("variance", np.array(VARIANCES[2]))])
        self._add("Clip", "bounded", ["log_ratio", *self._bounds("log_ratio", -limit, limit)])
        self._add("Exp", "ratio", ["bounded"])
        self._add("Mul", "half", ["ratio", self._constant("half_sides", sides / 2)])
        self._add("Sub", "first", ["centre", "half"])
        self._add("Add", "second", ["centre", "half"])
        self._add("Concat", "corners", ["first", "second"], axis=1)
        self._add("Clip", BOXES, ["corners", *self._bounds("corner", np.float32(0), np.float32(1))])

    def _split(self, source: str, parts: dict[str, int]) -> None:
        """Cut a value along axis 1 into parts of the given lengths."""
        lengths = self._integers(f"{source}_lengths", *parts.values())
        self.nodes.append(
            helper.make_node("Split", [source, lengths], list(parts), name=f"{source}_split", axis=1)
        )

    def _add(self, kind: str, name: str, inputs: list[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))

    def _constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _integers(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, np.int64))

    def _bounds(self, name: str, lowest: np.float32, highest: np.float32) -> list[str]:
        return [
            self._constant(f"{name}_lowest", np.array(lowest)),
            self._constant(f"{name}_highest", np.array(highest)),
        ]

    def _scale_and_shift(
        self, statistics: list[str], attributes: Attributes
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        gamma, beta, mean, variance = (self._weights[name].astype(np.float64) for name in statistics)
        if attributes.get("fix_gamma", True):
            gamma = np.ones_like(gamma)
        scale = gamma / np.sqrt(variance + attributes["eps"])
        return scale, beta - mean * scale

    def _convolution(
        self,
        name: str,
        inputs: list[str],
        attributes: Attributes,
        scale: npt.NDArray[np.float64] | None = None,
        shift: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Write a convolution, followed by a scale and a shift per channel where they are given."""
        weight = self._weights[inputs[1]].astype(np.float64)
        bias = self._weights[inputs[2]].astype(np.float64) if len(inputs) > 2 else np.zeros(len(weight))
        if scale is not None and shift is not None:
            weight, bias = weight * scale[:, None, None, None], bias * scale + shift
        self._write_convolution(name, inputs[0], attributes, weight, bias)

    def _write_convolution(
        self, name: str, source: str, attributes: Attributes, weight: npt.NDArray[Any], bias: npt.NDArray[Any]
    ) -> None:
        self._add(
            "Conv",
            name,
            [
                source,
                self._constant(f"{name}_weight", weight.astype(np.float32)),
                self._constant(f"{name}_bias", bias.astype(np.float32)),
            ],
            kernel_shape=attributes["kernel"],
            strides=attributes["stride"],
            pads=attributes["pad"] * 2,
            dilations=attributes["dilate"],
            group=attributes["num_group"],
        )

    def _normalisation(self, name: str, inputs: list[str], attributes: Attributes) -> None:
        scale, shift = self._scale_and_shift(inputs[1:], attributes)
        scaled = self._constant(f"{name}_scale", scale.astype(np.float32)[:, None, None])
        shifted = self._constant(f"{name}_shift", shift.astype(np.float32)[:, None, None])
        self._add("Mul", f"{name}_scaled", [inputs[0], scaled])
        self._add("Add", name, [f"{name}_scaled", shifted])

    def _activation(self, name: str, inputs: list[str], attributes: Attributes) -> None:
        if attributes["act_type"] != "relu":
            raise ArtefactError(f"the activation {attributes['act_type']} cannot be written as ONNX")
        self._add("Relu", name, inputs)

    def _pooling(self, name: str, inputs: list[str], attributes: Attributes) -> None:
        if attributes["pool_type"] != "max" or attributes.get("global_pool"):
            raise ArtefactError("only pooling by maximum can be written as ONNX")
        self._add(
            "MaxPool",
            name,
            inputs,
            kernel_shape=attributes["kernel"],
            strides=attributes["stride"],
            pads=attributes["pad"] * 2,
            ceil_mode=int(attributes["pooling_convention"] == "full"),
        )

    def _upsampling(self, name: str, inputs: list[str], attributes: Attributes) -> None:
        factors = self._constant(f"{name}_factors", np.array([1, 1, *[attributes["scale"]] * 2], np.float32))
        self._add(
            "Resize",
            name,
            [inputs[0], "", factors],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def _unit_length(self, name: str, inputs: list[str], attributes: Attributes) -> None:
        if attributes["mode"] != "channel":
            raise ArtefactError(f"L2Normalization by {attributes['mode']} cannot be written as ONNX")
        self._add("Mul", f"{name}_squares", [inputs[0], inputs[0]])
        self._add("ReduceSum", f"{name}_sum", [f"{name}_squares", self._integers(f"{name}_axis", 1)])
        floor = self._constant(f"{name}_floor", np.array(_LENGTH_FLOOR, np.float32))
        self._add("Add", f"{name}_floored", [f"{name}_sum", floor])
        self._add("Sqrt", f"{name}_length", [f"{name}_floored"])
        self._add("Div", name, [inputs[0], f"{name}_length"])

    def _scale(self, name: str, inputs: list[str], _: Attributes) -> None:
        self._add("Mul", name, [inputs[0], self._constant(f"{name}_scale", self._weights[inputs[1]])])

    def _cut(self, name: str, inputs: list[str], attributes: Attributes) -> None:
        """Cut the first input's rows and columns to those of the second."""
        if tuple(attributes["axes"]) != (2, 3):
            raise ArtefactError("slice_like of other axes than rows and columns cannot be written as ONNX")
        self._add("Shape", f"{name}_end", [inputs[1]], start=2, end=4)
        begin, axes = self._integers(f"{name}_begin", 0, 0), self._integers(f"{name}_axes", 2, 3)
        self._add("Slice", name, [inputs[0], begin, f"{name}_end", axes])


def _inputs(nodes: list[Any], node: dict[str, Any]) -> list[str]:
    """Return the names of what a node reads."""
    return [nodes[source]["name"] for source, *_ in node["inputs"]]


def _ancestor(nodes: list[Any], number: int, steps: int) -> int:
    """Return the node that lies so many steps before a node, along first inputs."""
    for _ in range(steps):
        number = nodes[number]["inputs"][0][0]
    return number


def _read(attributes: dict[str, str]) -> Attributes:
    """Return an MXNet node's attributes as the values that their text stands for."""
    values: Attributes = {}
    for name, text in attributes.items():
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return values
