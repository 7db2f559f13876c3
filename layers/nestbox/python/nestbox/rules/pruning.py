"""Which models SageMaker need not keep: promoting a run makes its model and configuration anew."""

from collections.abc import Iterable, Set
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """A run as far as its model goes."""

    run: str
    has_model: bool
    ended: bool
    pruned: bool


def models_to_prune(newest_first: Iterable[KnownModel], *, keep: int, in_use: Set[str]) -> list[str]:
    """The runs whose model and configuration go, of a dataset's runs with the newest first.

    ``keep`` of the newest stay beside those ``in_use``, and all of runs that have not ended.
    """
    going: list[str] = []
    kept = 0
    for known in newest_first:
        if not known.has_model or known.run in in_use or not known.ended:
            continue
        if kept < keep:
            kept += 1
        elif not known.pruned:
            going.append(known.run)
    return going
