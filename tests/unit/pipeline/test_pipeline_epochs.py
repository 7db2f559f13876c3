from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox.rules.epochs import Epoch, LogLine, best_epoch, read_log

START = datetime(2026, 11, 24, 22, 40, tzinfo=UTC)


def lines(*texts):
    return [
        LogLine(START + timedelta(seconds=n), f"[11/24/2026 22:40:00 INFO 139] {t}")
        for n, t in enumerate(texts)
    ]


def quality(epoch, metric, value, batch=None):
    inside = f"batch={batch} " if batch is not None else ""
    kind = "score" if metric == "validation mAP" else "loss"
    return f"#quality_metric: host=algo-1, epoch={epoch}, {inside}{metric} <{kind}>=({value})"


def test_no_lines():
    log = read_log([])
    assert (log.epochs, log.finished) == ((), False)
    assert best_epoch(log.epochs) is None


def test_two_epochs_as_the_containers_write_them():
    log = read_log(
        lines(
            "Final configuration: {'epochs': '2'}",
            quality(0, "train cross_entropy", 2.5, batch=1),
            "#throughput_metric: host=algo-1, train throughput=30.5 records/second",
            quality(0, "train cross_entropy", 1.5),
            quality(0, "train smooth_l1", 0.5),
            quality(0, "validation mAP", 0.25),
            "#progress_metric: host=algo-1, completed 50 % of epochs",
            quality(1, "train cross_entropy", 1.0, batch=1),
            quality(1, "train cross_entropy", 0.9),
            quality(1, "train smooth_l1", 0.4),
            quality(1, "validation mAP", 0.75),
            "#progress_metric: host=algo-1, completed 100 % of epochs",
            "#throughput_metric: host=algo-1, train throughput=31.5 records/second",
        )
    )
    assert log.finished
    assert log.epochs == (
        Epoch(0, START + timedelta(seconds=5), 0.25, 1.5, 0.5, None, 30.5),
        Epoch(1, START + timedelta(seconds=10), 0.75, 0.9, 0.4, 5.0, 31.5),
    )
    assert best_epoch(log.epochs).epoch == 1


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "", "x", "1.2.3"])
def test_what_is_no_number_is_missing(value):
    assert read_log(lines(quality(0, "validation mAP", value))).epochs == ()
    log = read_log(lines(quality(0, "train smooth_l1", 0.5), quality(0, "validation mAP", value)))
    assert log.epochs[0].validation_map is None
    assert best_epoch(log.epochs) is None


def test_zero_is_a_score():
    log = read_log(lines(quality(0, "validation mAP", "0.0"), quality(1, "validation mAP", "0.0")))
    assert best_epoch(log.epochs).epoch == 1


def test_of_equal_epochs_the_latest_is_best_as_in_the_artefact():
    log = read_log(
        lines(*(quality(n, "validation mAP", value) for n, value in enumerate([0.1, 0.9, 0.9, 0.2])))
    )
    assert best_epoch(log.epochs).epoch == 2


def test_epochs_on_the_largest_inputs_are_better_than_any_on_small_ones():
    logged = [(96, 0.9), (96, 0.8), (128, 0.3), (128, 0.4), (128, 0.35)]
    texts = []
    for epoch, (pixels, score) in enumerate(logged):
        texts += [
            f"#input_metric: host=algo-1, epoch={epoch}, input size={pixels} pixels",
            quality(epoch, "validation mAP", score),
        ]
    log = read_log(lines(*texts))
    assert [e.input_size for e in log.epochs] == [96, 96, 128, 128, 128]
    assert best_epoch(log.epochs).epoch == 3
    assert best_epoch(log.epochs[:2]).epoch == 0
    unsaid = read_log(lines(quality(0, "validation mAP", 0.9), *texts[2:]))
    assert best_epoch(unsaid.epochs).epoch == 3


@pytest.mark.parametrize(("told", "best"), [(True, 3), (False, 1)])
def test_of_our_epochs_the_latest_that_differs_by_chance_alone_is_best(told, best):
    texts = []
    for epoch, score in enumerate([0.2, 0.9, 0.891, 0.896, 0.894]):
        if told:
            texts.append(f"#input_metric: host=algo-1, epoch={epoch}, input size=96 pixels")
        texts.append(quality(epoch, "validation mAP", score))
    assert best_epoch(read_log(lines(*texts)).epochs).epoch == best


def test_of_an_epoch_known_by_its_input_alone_nothing_is_best():
    log = read_log(lines("#input_metric: host=algo-1, epoch=0, input size=96 pixels"))
    assert log.epochs == (Epoch(0, START, input_size=96),)
    assert best_epoch(log.epochs) is None


def test_an_epoch_trained_twice_counts_as_the_last_time():
    log = read_log(
        lines(
            quality(0, "validation mAP", 0.1),
            quality(1, "validation mAP", 0.9),
            quality(1, "validation mAP", 0.3),
        )
    )
    assert [e.validation_map for e in log.epochs] == [0.1, 0.3]


def test_reading_on_from_the_middle():
    everything = lines(*(quality(n, "validation mAP", n / 10) for n in range(5)))
    whole = read_log(everything)
    rest = read_log(everything[2:])
    assert rest.epochs[1:] == whole.epochs[3:]


@pytest.mark.parametrize(
    "text",
    [
        "epoch=3, validation mAP <score>=(0.5)",
        "#quality_metric: host=algo-1, epoch=x, validation mAP <score>=(0.5)",
        "#quality_metric: host=algo-1, epoch=0, validation accuracy <score>=(0.5)",
        "#progress_metric: host=algo-1, completed",
        "",
        "\x00",
    ],
)
def test_other_lines_are_passed_over(text):
    assert read_log(lines(text)).epochs == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), max_size=20))
def test_every_score_is_one_that_was_logged(scores):
    log = read_log(lines(*(quality(n, "validation mAP", f"{value:.6f}") for n, value in scores)))
    logged = {n: float(f"{value:.6f}") for n, value in scores}
    assert {e.epoch: e.validation_map for e in log.epochs} == logged
    best = best_epoch(log.epochs)
    assert best is None if not logged else best.validation_map == max(logged.values())


def test_what_was_measured_in_the_middle_of_an_epoch_is_not_its_result():
    assert read_log(lines(quality(0, "train cross_entropy", 2.5, batch=1))).epochs == ()


def test_a_throughput_that_is_no_number_makes_no_epoch():
    throughput = "#throughput_metric: host=algo-1, train throughput={} records/second"
    assert read_log(lines(throughput.format("nan"))).epochs == ()


def test_what_has_finished_stays_so():
    progress = "#progress_metric: host=algo-1, completed {} % of epochs"
    assert read_log(lines(progress.format(100), progress.format(50))).finished


def test_the_time_of_an_epoch_is_unknown_without_both_its_ends():
    one, zero = quality(1, "validation mAP", 0.5), quality(0, "validation mAP", 0.5)
    assert [epoch.seconds for epoch in read_log(lines(zero, one)).epochs] == [None, 1.0]
    assert [epoch.seconds for epoch in read_log(lines(one, zero)).epochs] == [None, None]
    going = lines("#throughput_metric: host=algo-1, train throughput=9 records/second")
    assert read_log(going).epochs[0].seconds is None
    begun = "#quality_metric: host=algo-1, epoch=1, batch=1 train cross_entropy <loss>=(2.5)"
    throughput = "#throughput_metric: host=algo-1, train throughput=9 records/second"
    assert [epoch.seconds for epoch in read_log(lines(zero, begun, throughput)).epochs] == [None, None]
