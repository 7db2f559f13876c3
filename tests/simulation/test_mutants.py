"""Guards of the steps that are taken out are noticed: three of mutants.tsv (all: ``make mutate``)."""

import json
import os
import subprocess
import sys
from pathlib import Path

from simulation.mutants import ROOT, SURVIVED, read_table

MANY = 3
CHILD = """
import json, sys
from simulation.mutants import all_mutants, noticed_by, prepare
prepare()
mutants = {one.key: one for one in all_mutants()}
told = []
for module, function, change, seed in json.loads(sys.argv[1]):
    mutant = mutants.get((module, function, change))
    told.append([module, function, change, noticed_by(mutant, [range(seed, seed + 1)]) if mutant else None])
print(json.dumps(told))
"""


def test_guards_that_are_taken_out_are_noticed() -> None:
    seeds = {
        key: int(by.split("seed ")[1].split(":")[0])
        for key, by in read_table().items()
        if by.startswith("simulation, seed ")
    }
    chosen = [[*key, seed] for key, seed in sorted(seeds.items())][:: max(1, len(seeds) // MANY)][:MANY]
    assert len(chosen) == MANY
    # In a process of its own, as each mutant is a fork of it.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
    told = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(chosen)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    unnoticed = [one for one in json.loads(told.stdout) if one[3] is None]
    assert not unnoticed, (
        f"nothing notices {unnoticed}: the code has changed, or `make mutate` finds another seed"
    )


def test_the_table_hides_no_survivor() -> None:
    unexplained = [key for key, by in read_table().items() if by == SURVIVED]
    assert not unexplained, "each needs a test, or (superfluous: why) in place of 'nothing'"


def test_the_table_is_beside_the_code() -> None:
    assert Path(__file__).with_name("mutants.tsv").exists()
