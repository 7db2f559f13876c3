"""What is different from the previous preparation of the same dataset, for people who changed something."""

from __future__ import annotations

from dataclasses import dataclass

from dataprep_job.survey import Survey

_EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class Changes:
    """Pictures that differ from the previous preparation; for each kind a count, and the first few paths.

    Attributes:
        added: used now, not used before.
        removed: used before, not used now (deleted, or left out for a defect).
        replaced: the file has other contents under the same name.
        relabelled: the same picture, other boxes or classes.
        moved: in another split.
        unchanged: how many are the same in every way.
        examples: paths by kind.
    """

    added: int
    removed: int
    replaced: int
    relabelled: int
    moved: int
    unchanged: int
    examples: dict[str, list[str]]


def changes(found: Survey) -> Changes | None:
    """Compare what was used (table `used`) with the attached index of the previous preparation."""
    catalogue = found.catalogue
    if "previous" not in catalogue.known_schemas:
        return None
    catalogue.database.execute("CREATE INDEX IF NOT EXISTS used_images ON used (image)")
    kinds = {
        "added": "FROM used LEFT JOIN previous.packed USING (image) WHERE packed.image IS NULL",
        "removed": "FROM previous.packed LEFT JOIN used USING (image) WHERE used.image IS NULL",
        "replaced": "FROM used JOIN previous.packed USING (image) WHERE used.digest != packed.digest",
        "relabelled": "FROM used JOIN previous.packed USING (image) "
        "WHERE used.digest = packed.digest AND used.label != packed.label",
        "moved": "FROM used JOIN previous.packed USING (image) WHERE used.split != packed.split",
        "unchanged": "FROM used JOIN previous.packed USING (image) "
        "WHERE used.digest = packed.digest AND used.label = packed.label AND used.split = packed.split",
    }
    counts = {kind: catalogue.one(f"SELECT count(*) {query}") for kind, query in kinds.items()}
    examples = {
        kind: [
            image
            for (image,) in catalogue.database.execute(
                f"SELECT image {query} ORDER BY image LIMIT {_EXAMPLES}"
            )
        ]
        for kind, query in kinds.items()
        if kind != "unchanged"
    }
    return Changes(**counts, examples=examples)
