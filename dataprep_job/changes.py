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
    both = "FROM used JOIN previous.packed AS packed USING (image)"
    is_other = {
        "replaced": "used.digest != packed.digest",
        "relabelled": "used.digest = packed.digest AND used.label != packed.label",
        "moved": "used.split != packed.split",
    }
    is_same = "used.digest = packed.digest AND used.label = packed.label AND used.split = packed.split"
    # One pass over both tables: this is part of every run in which hardly anything changed.
    sums = [f"count(CASE WHEN {condition} THEN 1 END)" for condition in (*is_other.values(), is_same)]
    query = f"SELECT count(*), {', '.join(sums)} {both}"
    found_again, *others, unchanged = catalogue.database.execute(query).fetchone()
    counts = {
        "added": catalogue.one("SELECT count(*) FROM used") - found_again,
        "removed": catalogue.one("SELECT count(*) FROM previous.packed") - found_again,
        **dict(zip(is_other, others, strict=True)),
    }
    queries = {
        "added": "FROM used LEFT JOIN previous.packed USING (image) WHERE packed.image IS NULL",
        "removed": "FROM previous.packed WHERE image NOT IN (SELECT image FROM used)",
        **{kind: f"{both} WHERE {condition}" for kind, condition in is_other.items()},
    }
    examples = {
        kind: [
            image
            for (image,) in catalogue.database.execute(
                f"SELECT image {query} ORDER BY image LIMIT {_EXAMPLES}"
            )
        ]
        if counts[kind]
        else []
        for kind, query in queries.items()
    }
    return Changes(**counts, unchanged=unchanged, examples=examples)
