"""What goes into the file of a split."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from dataprep_job.inspection import Photo
from dataprep_job.labels import Edges, Split
from dataprep_job.packing import SplitPacker
from dataprep_job.storage import FolderStorage


@pytest.mark.parametrize(("split", "samples"), [("train", 2), ("validation", 1), ("test", 1)])
def test_only_the_train_split_is_mirrored_whatever_was_encoded(
    tmp_path: Path, split: Split, samples: int
) -> None:
    """A held-out picture that comes back under a training name was encoded both ways."""
    plan = SimpleNamespace(labels=SimpleNamespace(image="a.jpg"))
    box = SimpleNamespace(class_id=0, edges=Edges(1, 1, 4, 4))
    photo = Photo(plan, b"", 10, 10, (box,), (), encoded=b"as it is", mirrored=b"mirrored")  # type: ignore[arg-type]

    packer = SplitPacker(FolderStorage(tmp_path), split)
    packer.add(photo)
    packer.commit()

    assert packer.samples == samples
    assert len((tmp_path / f"lists/{split}.lst").read_text().splitlines()) == samples
    assert (b"mirrored" in (tmp_path / f"channels/{split}/{split}.rec").read_bytes()) == (samples == 2)
