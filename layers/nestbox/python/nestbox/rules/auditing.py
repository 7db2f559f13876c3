"""When a dataset's folder is compared with what was last seen of it, in case no event told of an upload."""

import zlib
from datetime import datetime


def is_due(dataset: str, now: datetime, every_minutes: int) -> bool:
    """Whether it is the dataset's turn in this minute: each has one in so many minutes."""
    return (int(now.timestamp()) // 60 + zlib.crc32(dataset.encode())) % every_minutes == 0
