"""Telling a full disk or used-up memory from a fault: neither the data nor this program is wrong then."""

import errno

from detector.errors import ShortageError

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# MXNet, oneDNN and OpenCV have one type for all their errors, so that only their words tell; a thread needs
# memory for its stack.
_MEMORY = (
    "Failed to allocate CPU Memory",
    "Insufficient memory",
    "bad_alloc",
    "can't start new thread",
    "out of memory",
)


def find_shortage(error: BaseException) -> ShortageError | None:
    """Return what is used up when an error, or one that led to it, comes of that; None when it does not."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ShortageError):
            return cause
        if isinstance(cause, OSError) and cause.errno in _DISK:
            return disk_full(cause)
        no_memory = isinstance(cause, OSError) and cause.errno == errno.ENOMEM
        if no_memory or isinstance(cause, MemoryError) or any(words in str(cause) for words in _MEMORY):
            return ShortageError(
                "the machine has no memory left; lower mini_batch_size or image_shape, or take a larger one"
            )
        cause = cause.__cause__ or cause.__context__
    return None


def disk_full(error: OSError) -> ShortageError:
    """Return the error to raise for a disk that takes no more."""
    return ShortageError(f"the disk takes no more ({error.strerror}); give the job a larger volume")
