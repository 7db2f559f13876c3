"""Write the list of all kinds of defects, which is kept as `docs/defects.md`, to standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.defect_kinds import COSTS, KINDS, Cost, DefectKind

TOPICS = {
    "image": "Pictures",
    "box": "Boxes",
    "shape": "Shapes that are no boxes",
    "labels": "Labels of a picture",
    "class": "Classes",
    "split": "Splits",
    "config": "nestbox.yaml",
    "file": "Files",
    "path": "Paths",
    "text": "Text files",
    "json": "JSON files",
    "xml": "XML files",
    "archive": "Zip archives",
    "manifest": FORMAT_TITLES["ground-truth"],
    "labelstudio": FORMAT_TITLES["label-studio"],
}
"""What codes are about, by their part before the dot. Formats follow, under their own titles."""

_INTRODUCTION = """\
# What can be wrong with a dataset

This list is generated from the registry in `dataprep_job/defect_kinds`: change it there, then `make docs`.

The preparation, its report and `nestbox check` name every defect with one of these codes. They never change
their meaning, so scripts can rely on them. One bad line, box, picture or file never costs its neighbours.

An **error** means that something is left out of training, or cannot be trusted; a **warning** that nothing is
lost, but that somebody should look whether it is meant. What one error costs:
"""

_COSTS: dict[Cost, str] = {
    "file": "labels of a file",
    "picture": "the picture",
    "box": "the box",
    "choice": "nothing yet",
    "nothing": "",
}


def page() -> str:
    """The whole list as Markdown."""
    return "".join(_lines())


def _lines() -> Iterator[str]:
    topics: dict[str, list[DefectKind]] = {topic: [] for topic in TOPICS}
    for kind in KINDS.values():
        topics.setdefault(kind.code.partition(".")[0], []).append(kind)
    filled = {topic: kinds for topic, kinds in topics.items() if kinds}
    yield _INTRODUCTION + "\n"
    yield from (f"- {_COSTS[cost]}: {meaning}\n" for cost, meaning in COSTS.items() if _COSTS[cost])
    yield "\n" + " · ".join(f"[{_title(topic)}](#topic-{topic})" for topic in filled) + "\n"
    for topic, kinds in filled.items():
        yield f'\n## <a id="topic-{topic}"></a>{_title(topic)}\n\n'
        yield "| code | | what is wrong | costs | how to mend it |\n| --- | --- | --- | --- | --- |\n"
        for kind in kinds:
            anchor = f'<a id="{kind.code}"></a>`{kind.code}`'
            cells = (anchor, kind.severity, _cell(kind.title), _COSTS[kind.cost], _cell(kind.hint))
            yield f"| {' | '.join(cells)} |\n"


def _title(topic: str) -> str:
    return TOPICS.get(topic) or FORMAT_TITLES.get(topic) or topic


def _cell(words: str) -> str:
    for special in "\\|<>*_":
        words = words.replace(special, f"\\{special}")
    return words


if __name__ == "__main__":
    sys.stdout.write(page())
