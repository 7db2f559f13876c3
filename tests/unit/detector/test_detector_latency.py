"""Percentiles of what was answered lately."""

from detector.latency import Latency


def test_nothing_is_measured_before_the_first_request() -> None:
    latency = Latency()
    assert (latency.requests, latency.quantiles()) == (0, {})
    assert latency.line() == "0 requests, 0 refused"
    assert "nestbox_invocation_seconds_count 0" in latency.exposition()


def test_percentiles_are_of_answers_and_refusals_are_counted() -> None:
    latency = Latency()
    for milliseconds in range(1, 101):
        latency.note(200, milliseconds / 1000)
    latency.note(400, 9.0)
    assert latency.quantiles() == {0.5: 0.051, 0.95: 0.096, 0.99: 0.1}
    assert latency.line() == "101 requests, 1 refused, p50 51.0 ms, p95 96.0 ms, p99 100.0 ms"
    lines = latency.exposition().splitlines()
    assert 'nestbox_invocation_seconds{quantile="0.95"} 0.096000' in lines
    assert "nestbox_invocation_seconds_sum 5.050000" in lines
    assert 'nestbox_invocations_total{status="400"} 1' in lines


def test_what_is_long_ago_no_longer_counts() -> None:
    latency = Latency()
    for seconds in [9.0] * 2000 + [0.001] * 3000:
        latency.note(200, seconds)
    assert latency.quantiles()[0.99] == 0.001
    assert latency.requests == 5000
