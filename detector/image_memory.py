"""Keeping decoded images in memory as far as they fit, and decoding the others on use."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from detector.errors import ImageError, LabelError
from detector.images import Image, decode, stored_size
from detector.recordio_dataset import Sample

_SHARE_OF_MEMORY = 0.4
_SHOWN_PROBLEMS = 5


def memory_for_images() -> int:
    """Return how many bytes decoded images may take: a share of what the machine or container has left."""
    limits = [_proc_available()]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(path).read_text().strip() if Path(path).is_file() else "max"
        if text.isdigit():
            limits.append(int(text))
    return int(min(limits) * _SHARE_OF_MEMORY)


def _proc_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo does not tell the available memory")


class ImageMemory:
    """A dataset's images by index, decoded for `network_size` and passed through `prepare`."""

    def __init__(
        self,
        samples: Sequence[Sample],
        network_size: int,
        pool: Executor,
        budget: int,
        prepare: Callable[[Image], Image] = lambda image: image,
    ) -> None:
        """Decode images in the pool's threads. Raises LabelError naming the records with unreadable ones."""
        self._samples = samples
        self._size = network_size
        self._prepare = prepare
        self._left = budget
        self._kept: list[Image | None] = []
        problems = []
        for sample, outcome in zip(samples, pool.map(self._try, range(len(samples))), strict=True):
            if isinstance(outcome, ImageError):
                problems.append(f"{sample.origin}: {outcome}")
            else:
                self._kept.append(outcome)
        if problems:
            more = len(problems) - _SHOWN_PROBLEMS
            raise LabelError(problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else []))

    @property
    def kept_share(self) -> float:
        """Share of the images, 0..1, that are held decoded."""
        return sum(image is not None for image in self._kept) / len(self._kept)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Image:
        image = self._kept[index]
        if image is not None:
            return image
        try:
            return self._load(index)
        except ImageError as error:
            raise LabelError([f"{self._samples[index].origin}: {error}"]) from error

    def _load(self, index: int) -> Image:
        return self._prepare(decode(self._samples[index].payload, self._size).pixels)

    def _try(self, index: int) -> Image | ImageError | None:
        if self._left <= 0 and stored_size(self._samples[index].payload) is not None:
            # Reading every image whole once more would only prove what the header already says.
            return None
        try:
            image = self._load(index)
        except ImageError as error:
            return error
        # Two threads may both see the last bytes free; the budget is a share, not a wall.
        self._left -= image.nbytes
        return image if self._left > 0 else None
