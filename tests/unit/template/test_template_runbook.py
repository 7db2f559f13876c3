"""The alarms of template.yaml and docs/runbook.md: what one names the other has."""

import re
from pathlib import Path
from typing import Any

from cli.main import parser

ROOT = Path(__file__).parents[3]


def runbook() -> dict[str, str]:
    """Heading to text of each entry."""
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alarm_has_its_entry_in_the_runbook_and_every_entry_its_alarm(template: Any) -> None:
    entries = runbook()
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    assert sorted(entries) == sorted(alarms)
    for name, alarm in alarms.items():
        assert alarm["AlarmDescription"].endswith(f"Runbook: docs/runbook.md#{name.lower()}"), name


def test_every_entry_says_what_it_means_how_to_look_and_how_to_mend() -> None:
    for name, text in runbook().items():
        for part in ("**Means.**", "**Look.**", "**Mend.**"):
            assert part in text, f"{name} lacks {part}"
        assert "`" in text, f"{name} names no command"


def test_commands_in_the_runbook_are_commands(template: Any) -> None:
    known = set(next(iter(parser()._subparsers._group_actions)).choices)  # type: ignore[union-attr, arg-type]
    used = set(re.findall(r"`?nestbox ([a-z]+)", "\n".join(runbook().values())))
    assert used <= known, used - known
    outputs = set(re.findall(r"\$\(output (\w+)\)", "\n".join(runbook().values())))
    assert outputs <= set(template.data["Outputs"])
