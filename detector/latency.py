"""How long requests take: the percentiles of the latest ones, for the log and for `/metrics`."""

from collections import Counter, deque

QUANTILES = (0.5, 0.95, 0.99)

_LATEST = 2048


class Latency:
    """Counts requests by status and keeps the latest durations. For one thread."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=_LATEST)
        self._statuses: Counter[int] = Counter()
        self._seconds = 0.0

    def note(self, status: int, seconds: float) -> None:
        """Take in a request; the durations of refused ones would only embellish the percentiles."""
        self._statuses[status] += 1
        if status == 200:
            self._latest.append(seconds)
            self._seconds += seconds

    @property
    def requests(self) -> int:
        """How many requests there were, refused ones included."""
        return self._statuses.total()

    def quantiles(self) -> dict[float, float]:
        """Return the seconds within which that share of the latest requests was answered; empty without any.

        >>> latency = Latency()
        >>> for milliseconds in range(1, 101):
        ...     latency.note(200, milliseconds / 1000)
        >>> latency.quantiles()
        {0.5: 0.051, 0.95: 0.096, 0.99: 0.1}
        """
        ordered = sorted(self._latest)
        return {share: ordered[int(share * len(ordered))] for share in QUANTILES} if ordered else {}

    def line(self) -> str:
        """Return a line for the log."""
        percentiles = (f"p{share:.0%}"[:-1] + f" {1000 * s:.1f} ms" for share, s in self.quantiles().items())
        refused = self.requests - self._statuses[200]
        return ", ".join([f"{self.requests} requests", f"{refused} refused", *percentiles])

    def exposition(self) -> str:
        """Return the figures in Prometheus's text format."""
        name = "nestbox_invocation_seconds"
        lines = [f"# TYPE {name} summary"]
        lines += [f'{name}{{quantile="{share}"}} {s:.6f}' for share, s in self.quantiles().items()]
        lines += [f"{name}_sum {self._seconds:.6f}", f"{name}_count {self._statuses[200]}"]
        lines.append("# TYPE nestbox_invocations_total counter")
        lines += [
            f'nestbox_invocations_total{{status="{status}"}} {count}'
            for status, count in sorted(self._statuses.items())
        ]
        return "\n".join(lines) + "\n"
