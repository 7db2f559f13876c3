"""Reading parts of files far away: few requests where they are read in order, small ones elsewhere."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

from dataprep_job.file_source import SourceFile

LARGEST_AHEAD = 4 << 20
"""Reading ahead grows to this: S3 sends it in the time in which some ten requests would be begun."""

KEPT_BYTES = 64 << 20
"""How much is kept: room for sixteen readers that each go through a part of their own."""

_SMALLEST_AHEAD = 256 << 10
_MOST_WINDOWS = 256
_SKIPPED = 64 << 10
"""A part that begins this little behind the last one is still in order; what lies between is read too."""

Fetch = Callable[[SourceFile, int, int], bytes]
"""`fetch(file, start, stop)`: bytes of a file."""


@dataclass(eq=False, slots=True)
class _Window:
    """Bytes `start` to `stop` of a file, there or on their way."""

    file: SourceFile
    start: int
    stop: int
    data: Future[bytes] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return self.stop - self.start


class RangeCache:
    """Parts of files that were fetched, kept for a while. Safe in threads: no part is fetched twice at once.

    A part that follows on one that was read before is fetched with what comes behind it, twice as much each
    time. Any other part is fetched just as it was asked for.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock = Lock()
        self._windows: OrderedDict[int, _Window] = OrderedDict()
        self._by_file: dict[SourceFile, list[_Window]] = {}
        self._kept = 0

    def read(self, file: SourceFile, start: int, size: int) -> bytes:
        """Bytes of a file, fewer than `size` only at its end. Raises what `fetch` raises."""
        stop = min(start + size, file.size)
        parts: list[bytes] = []
        while start < stop:
            window, is_new = self._window(file, start, stop)
            data = self._fill(window) if is_new else window.data.result()
            part = data[start - window.start : stop - window.start]
            if not part:
                break
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fill(self, window: _Window) -> bytes:
        try:
            data = self._fetch(window.file, window.start, window.stop)
        except BaseException as error:
            with self._lock:
                self._forget(window)
            window.data.set_exception(error)
            raise
        window.data.set_result(data)
        if window.size > LARGEST_AHEAD:
            with self._lock:
                self._forget(window)
        return data

    def _window(self, file: SourceFile, start: int, stop: int) -> tuple[_Window, bool]:
        """The window that holds byte `start`, and whether it is new and must be filled by the caller."""
        with self._lock:
            known = self._by_file.setdefault(file, [])
            before: _Window | None = None
            for window in known:
                if window.start <= start < window.stop:
                    self._windows.move_to_end(id(window))
                    return window, False
                if window.stop <= start <= window.stop + _SKIPPED and (
                    before is None or before.stop < window.stop
                ):
                    before = window
            if before is not None:
                start = before.stop
                ahead = min(max(2 * before.size, _SMALLEST_AHEAD), LARGEST_AHEAD)
                stop = min(max(stop, start + ahead), file.size)
            stop = min([stop, *(window.start for window in known if window.start > start)])
            window = _Window(file, start, stop)
            self._windows[id(window)] = window
            known.append(window)
            self._kept += window.size
            while (self._kept > KEPT_BYTES and len(self._windows) > 1) or len(self._windows) > _MOST_WINDOWS:
                self._forget(next(iter(self._windows.values())))
            return window, True

    def _forget(self, window: _Window) -> None:
        if self._windows.pop(id(window), None) is None:
            return
        self._kept -= window.size
        known = self._by_file[window.file]
        known.remove(window)
        if not known:
            del self._by_file[window.file]


class RangeStream(io.RawIOBase):
    """A file read from its start by ranges: no connection waits open while its reader is busy."""

    def __init__(self, cache: RangeCache, file: SourceFile) -> None:
        self._cache = cache
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what comes next."""
        data = self._cache.read(self._file, self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
