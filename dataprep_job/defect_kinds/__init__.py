"""Every kind of defect: its stable code, how bad it is, its title and how to mend it. Said only here.

`error`: something is left out of training or cannot be trusted. `warning`: nothing is lost, but look at it.
Codes are relied on by people's scripts: add new ones, never change the meaning of an old one.
"""

from __future__ import annotations

from itertools import chain

from dataprep_job.defect_kinds import archive, core, json, tables, xml
from dataprep_job.defect_kinds.costs import COSTS, Cost
from dataprep_job.defect_kinds.kind import DefectKind, Row, Severity

__all__ = ["COSTS", "KINDS", "Cost", "DefectKind", "Severity"]


def _kinds(*groups: tuple[Row, ...]) -> dict[str, DefectKind]:
    rows = list(chain.from_iterable(groups))
    kinds = {row[0]: DefectKind(*row) for row in rows}
    if len(kinds) != len(rows):
        raise ValueError("A defect code is registered twice.")
    return kinds


KINDS: dict[str, DefectKind] = _kinds(core.ROWS, archive.ROWS, json.ROWS, xml.ROWS, tables.ROWS)
