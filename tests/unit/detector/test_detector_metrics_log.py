"""The log lines match SageMaker's metric definitions of the built-in algorithm."""

import io
import re

from detector.metrics_log import MetricsLog

# As shown in the SageMaker console for training jobs of the built-in algorithm.
DEFINITIONS = {
    "train:progress": r"#progress_metric: host=\S+, completed (\S+) %",
    "train:smooth_l1": r"#quality_metric: .*, epoch=\S+, batch=\S+ train smooth_l1 <loss>=(\S+)",
    "train:cross_entropy": r"#quality_metric: .*, epoch=\S+, batch=\S+ train cross_entropy <loss>=(\S+)",
    "train:throughput": r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
    "validation:mAP": r"#quality_metric: host=\S+, epoch=\S+, validation mAP <score>=\((\S+)\)",
}


def test_every_metric_is_found_by_its_definition() -> None:
    stream = io.StringIO()
    log = MetricsLog("algo-1", stream)
    log.batch_losses(3, 20, 0.5, 0.25)
    log.epoch_losses(3, 0.5, 0.25)
    log.input_size(3, 96)
    log.validation_map(3, 0.875)
    log.throughput(123.4)
    log.progress(1, 8)
    text = stream.getvalue()
    values = {name: re.findall(pattern, text) for name, pattern in DEFINITIONS.items()}
    assert values == {
        "train:progress": ["12"],
        "train:smooth_l1": ["(0.250000)"],
        "train:cross_entropy": ["(0.500000)"],
        "train:throughput": ["123.4000"],
        "validation:mAP": ["0.875000"],
    }
    assert "epoch=3, train cross_entropy <loss>=(0.500000)\n" in text


def test_every_line_has_the_built_in_prefix() -> None:
    stream = io.StringIO()
    MetricsLog(stream=stream).validation_map(0, 0.1)
    assert re.match(
        r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] #quality_metric: host=algo-1, ", stream.getvalue()
    )


def test_the_notebooks_way_of_reading_a_score_works() -> None:
    stream = io.StringIO()
    MetricsLog(stream=stream).validation_map(0, 0.5)
    line = stream.getvalue().rstrip("\n")
    assert float(line.split("validation mAP <score>=(")[1][:-1]) == 0.5
