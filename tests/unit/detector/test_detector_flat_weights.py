"""A network whose parameters lie in a few long arrays computes and learns as one whose do not."""

from typing import Any

import numpy as np

from detector.anchors import derive_plan
from detector.architecture import build_network, plan_for
from detector.flat_weights import DECAYED, UNDECAYED, FlatWeights, MovingAverage
from detector.mxnet_runtime import mx
from detector.weights import put_weights, take_weights

LABELS = [np.float32([[0, 0.1, 0.1, 0.5, 0.5], [0, 0.4, 0.4, 0.9, 0.9]])]
PLAN = derive_plan(LABELS, 96)


def network() -> Any:
    return build_network("nestbox-small", 1, PLAN, for_training=True)


def learn(trained: Any, images: np.ndarray[Any, Any]) -> float:
    with mx.autograd.record():
        classes, offsets = trained(mx.nd.array(images))
        loss = (classes**2).sum() + (offsets - 1).abs().sum()
    loss.backward()
    return float(loss.asscalar())


def images(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(2, 3, 96, 96)).astype(np.float32)


def test_laying_weights_out_changes_nothing_but_their_place() -> None:
    plain, bound = network(), network()
    put_weights(bound, take_weights(plain))
    weights = FlatWeights(bound)
    # Running statistics too, which a pass moves.
    assert learn(plain, images()) == learn(bound, images())
    expected = take_weights(plain)
    for name, value in take_weights(bound).items():
        np.testing.assert_array_equal(value, expected[name])
    gradients = {
        name: parameter.grad().asnumpy()
        for name, parameter in plain.collect_params().items()
        if parameter.grad_req != "null"
    }
    groups = weights.groups()
    assert sum(abs(g.asnumpy()).sum(dtype=float) for _, g in groups.values()) == np.float64(
        sum(abs(gradient).sum(dtype=float) for gradient in gradients.values())
    )
    for values, gradient in groups.values():
        values -= 0.1 * gradient
    for name, parameter in bound.collect_params().items():
        moved = expected[name] - np.float32(0.1) * gradients.get(name, np.float32(0))
        np.testing.assert_allclose(parameter.data().asnumpy(), moved, rtol=1e-6, atol=1e-6)


def test_what_does_not_decay_and_what_is_frozen_lies_apart() -> None:
    bound = network()
    parameters = bound.collect_params()
    undecayed, frozen = [name for name in parameters if name.endswith(("gamma", "beta"))], "stem_conv_weight"
    for name in undecayed:
        parameters[name].wd_mult = 0.0
    parameters[frozen].grad_req = "null"
    before = take_weights(bound)
    weights = FlatWeights(bound)
    for group, mark in ((DECAYED, 2.0), (UNDECAYED, 3.0)):
        weights.groups()[group][0][:] = mark
    for name, value in take_weights(bound).items():
        if name == frozen or name.endswith(("running_mean", "running_var")):
            np.testing.assert_array_equal(value, before[name])
        else:
            assert (value == (3 if name in undecayed else 2)).all(), name


def test_a_network_without_normalisation_has_no_statistics_to_lay_out() -> None:
    vgg = build_network("vgg-16", 1, plan_for("vgg-16", LABELS, 96), for_training=True)
    weights = FlatWeights(vgg, 2)
    assert set(weights.groups()) == {DECAYED}
    weights.merge()
    assert weights.all_finite()


def test_replicas_are_merged_by_sum_and_mean() -> None:
    bound = network()
    weights = FlatWeights(bound, 3)
    weights.gradients[:] = mx.nd.array([[1], [2], [4]]).broadcast_like(weights.gradients)
    weights.statistics[:] = mx.nd.array([[1], [2], [6]]).broadcast_like(weights.statistics)
    weights.merge()
    for _, gradients in weights.groups().values():
        assert (gradients.asnumpy() == 7).all()
    assert (weights.statistics.asnumpy() == 3).all()
    assert (take_weights(bound)["stem_norm_running_var"] == 3).all()
    other = take_weights(network())
    weights.put(bound, other)
    weights.merge()
    for name, value in take_weights(bound).items():
        np.testing.assert_array_equal(value, other[name])


def test_a_single_bad_number_is_noticed_wherever_it_is() -> None:
    bound = network()
    weights = FlatWeights(bound)
    assert weights.all_finite()
    for name in ("stem_conv_weight", "stem_norm_running_mean"):
        value = take_weights(bound)[name]
        bad = value.copy()
        bad.flat[-1] = np.nan
        put_weights(bound, {**take_weights(bound), name: bad})
        assert not weights.all_finite()
        put_weights(bound, {**take_weights(bound), name: value})
    assert weights.all_finite()


def test_the_moving_average_follows_its_definition() -> None:
    trained, averaged = network(), build_network("nestbox-small", 1, PLAN)
    average = MovingAverage(FlatWeights(trained))
    expected = take_weights(trained)
    average.put(averaged)
    for name, value in take_weights(averaged).items():
        np.testing.assert_array_equal(value, expected[name])
    for step in range(1, 7):
        for parameter in trained.collect_params().values():
            parameter.set_data(parameter.data() + step)
        average.update(step)
        if step % 2 == 0:
            decay = min(0.995, (1 + step) / (10 + step)) ** 2
            for name, value in take_weights(trained).items():
                expected[name] = decay * expected[name] + (1 - decay) * value
        if step == 4:
            # As scoring after every epoch does: a forward pass moves weights into oneDNN's own layout.
            average.put(averaged)
            averaged(mx.nd.array(images()))
            # As a job that was cut off goes on.
            average = MovingAverage(FlatWeights(trained))
            average.take(averaged)
    average.put(averaged)
    for name, value in take_weights(averaged).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-5)
