"""Where the real labelled photos lie: beside the checkout, or where NESTBOX_SHARED_DATA says."""

from __future__ import annotations

import os
from pathlib import Path

SHARED_DATA = Path(
    os.environ.get("NESTBOX_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
