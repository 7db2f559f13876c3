"""Which errors mean that disk or memory is used up."""

import errno
import os
import resource
from pathlib import Path

import pytest

from detector.errors import ChannelError
from detector.mxnet_runtime import mx, plain_message
from detector.shortages import find_shortage


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device); give the job a larger"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), "the disk takes no more (File too large)"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "no memory left"),
        (MemoryError(), "lower mini_batch_size or image_shape"),
        (mx.MXNetError("Traceback\nMXNetError: Failed to allocate CPU Memory"), "no memory left"),
        (mx.MXNetError("std::bad_alloc"), "no memory left"),
    ],
)
def test_shortages_are_told(error: Exception, told: str) -> None:
    assert told in str(find_shortage(error))
    wrapped = RuntimeError("while doing something")
    wrapped.__cause__ = error
    assert told in str(find_shortage(wrapped))


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(errno.EACCES, "denied"), mx.MXNetError("shape"), ChannelError(["x"])]
)
def test_other_errors_are_none(error: Exception) -> None:
    assert find_shortage(error) is None


def test_mxnets_own_allocation_error_is_known() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**28, hard))
    try:
        with pytest.raises(mx.MXNetError) as caught:
            mx.nd.zeros((2**30,)).wait_to_read()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert find_shortage(caught.value) is not None


def test_a_message_is_told_without_the_way_through_the_code() -> None:
    with pytest.raises(mx.MXNetError) as caught:
        mx.nd.dot(mx.nd.ones((2, 3)), mx.nd.ones((2, 3))).wait_to_read()
    message = plain_message(caught.value)
    assert "Traceback" not in message
    assert "\n" not in message
    assert plain_message(mx.MXNetError("")) == "MXNetError"
