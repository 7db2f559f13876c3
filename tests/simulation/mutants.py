"""Guards and conditions taken out one at a time: which test notices?

``python -m simulation.mutants`` goes through steps/, rows/ and rules/ of the layer and writes
``mutants.tsv``: every mutant with what catches it. Each runs in a fork of a
process that has imported everything but Nestbox.
"""

import argparse
import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/nestbox/python/nestbox"
TABLE = Path(__file__).with_name("mutants.tsv")
FOLDERS = ("steps", "rows", "rules")
SEEDS = 60
TESTS = ("tests/unit/pipeline", "tests/integration/pipeline")
SURVIVED = "nothing"
OPEN = "open: no test that was tried"
"""Of a mutant that not all tests have been tried on."""
SECONDS = 400
"""After which a mutant that hangs counts as caught."""


@dataclass(frozen=True)
class Mutant:
    """One change to one place: ``number`` is its place among those of the module."""

    module: str
    number: int
    function: str
    change: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is called in the table; lines of code may move."""
        return self.module, self.function, self.change


class _Changes(ast.NodeVisitor):
    """Finds every change; makes the one of number ``wanted``."""

    def __init__(self, module: str, wanted: int | None = None) -> None:
        self._module = module
        self._wanted = wanted
        self._path: list[str] = []
        self.found: list[Mutant] = []

    def _at(self, node: ast.AST, change: str, make: Callable[[], None]) -> None:
        mutant = Mutant(self._module, len(self.found), ".".join(self._path) or "-", change)
        self.found.append(mutant)
        if mutant.number == self._wanted:
            make()

    def _within(self, node: Any) -> None:
        self._path.append(node.name)
        self.generic_visit(node)
        self._path.pop()

    visit_FunctionDef = visit_ClassDef = _within  # noqa: N815

    def visit_If(self, node: ast.If) -> None:
        told = _text(node.test)
        if told == "TYPE_CHECKING":
            return
        for answer in (False, True):
            word = "always" if answer else "never"
            self._at(node, f"if {told}: {word}", lambda a=answer: setattr(node, "test", ast.Constant(a)))
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        told = _text(node)
        for answer in (False, True):
            word = "always" if answer else "never"
            self._at(node, f"{told}: {word}", lambda a=answer: setattr(node, "test", ast.Constant(a)))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for place, value in enumerate(node.values):
            change = f"{_text(node)}: without {_text(value)}"
            self._at(node, change, lambda p=place: node.values.pop(p))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.BitAnd | ast.BitOr) and "Row." in _text(node):
            for gone, kept in (("left", "right"), ("right", "left")):
                change = f"{_text(node)}: without {_text(getattr(node, gone))}"

                def make(gone: str = gone, kept: str = kept) -> None:
                    # a & a is a: the node stays what it is.
                    setattr(node, gone, getattr(node, kept))

                self._at(node, change, make)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.BitAnd):
            self._at(node, f"without {_text(node)}", lambda: setattr(node, "value", node.target))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg == "condition" and not isinstance(keyword.value, ast.Name):
                change = f"without condition={_text(keyword.value)}"
                self._at(node, change, lambda k=keyword: setattr(k, "value", ast.Constant(None)))
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for place, test in enumerate(node.ifs):
            self._at(node, f"without if {_text(test)}", lambda p=place: node.ifs.pop(p))
        self.generic_visit(node)


def _text(node: ast.AST) -> str:
    return re.sub(r"\s+", " ", ast.unparse(node))


def _source(module: str) -> Path:
    return PACKAGE.parent / (module.replace(".", "/") + ".py")


def mutants_of(module: str) -> list[Mutant]:
    """All changes to a module."""
    changes = _Changes(module)
    changes.visit(ast.parse(_source(module).read_text(encoding="utf-8")))
    return changes.found


def all_mutants() -> list[Mutant]:
    """All changes to the folders."""
    paths = (path for folder in FOLDERS for path in sorted((PACKAGE / folder).glob("*.py")))
    return [one for path in paths for one in mutants_of(f"nestbox.{path.parent.name}.{path.stem}")]


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(_source(mutant.module)))
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(_source(fullname).read_text(encoding="utf-8"))
        _Changes(fullname, self._mutant.number).visit(tree)
        return compile(ast.fix_missing_locations(tree), str(_source(fullname)), "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        if fullname != self._mutant.module:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(self._mutant))


def caught_by(mutant: Mutant, seeds: Sequence[int], tests: Sequence[str]) -> str | None:
    """What notices a mutant, or None. Runs in a fork, so that this process stays without Nestbox."""
    assert not any(name.split(".")[0] == "nestbox" for name in sys.modules), "Nestbox is imported already"
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            _be_mutant(mutant, seeds, tests, answer.fileno())
        until = time.monotonic() + SECONDS
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "it hangs"
            time.sleep(0.02)
        answer.seek(0)
        return answer.read().decode() or None


def _be_mutant(mutant: Mutant, seeds: Sequence[int], tests: Sequence[str], answer: int) -> None:
    """Never returns."""
    told = "it cannot be imported"
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        sys.meta_path.insert(0, _Finder(mutant))
        told = _noticed(seeds, tests) or ""
    finally:
        os.write(answer, told.encode())
        os._exit(0)


def _noticed(seeds: Sequence[int], tests: Sequence[str]) -> str | None:
    from simulation.story import judge
    from simulation.world import simulated_aws

    with simulated_aws():
        for seed in seeds:
            try:
                broken = judge(seed).broken
            except Exception as error:  # noqa: BLE001
                broken = [type(error).__name__]
            if broken:
                return f"simulation, seed {seed}: {broken[0].partition(':')[0]}"
    import pytest

    class First:
        failed: str | None = None

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed and self.failed is None:
                self.failed = report.nodeid

    first = First()
    for folder in tests:
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", str(ROOT / folder)], plugins=[first])
        if code != 0:
            return first.failed or f"{folder} cannot be collected"
    return None


def prepare() -> None:
    """Import what is slow to import, and not Nestbox."""
    for name in (
        "boto3",
        "botocore.session",
        "moto",
        "moto.dynamodb",
        "moto.events.models",
        "pynamodb.models",
        "pynamodb.transactions",
        "aws_lambda_powertools.utilities.batch",
        "aws_lambda_powertools.utilities.parser.models",
        "aws_lambda_powertools.event_handler",
        "hypothesis",
        "pytest",
        "samtranslator.yaml_helper",
        "simulation.wiring",
    ):
        importlib.import_module(name)


def read_table() -> dict[tuple[str, str, str], str]:
    """What is written of each mutant."""
    if not TABLE.exists():
        return {}
    rows = (line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()[1:])
    return {(module, function, change): caught for module, function, change, caught in rows}


def write_table(caught: dict[tuple[str, str, str], str]) -> None:
    """Write the table, for people and for the tests."""
    lines = [
        "module\tfunction\tchange\tcaught by",
        *("\t".join([*key, by]) for key, by in sorted(caught.items())),
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _saved(caught: dict[tuple[str, str, str], str]) -> Iterator[None]:
    try:
        yield
    finally:
        write_table(caught)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the module's name")
    parser.add_argument("--again", action="store_true", help="also those whose catcher is known")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--tests", nargs="*", default=TESTS)
    options = parser.parse_args()
    prepare()
    mutants = all_mutants()
    known = read_table()
    caught = {one.key: known[one.key] for one in mutants if one.key in known}
    todo = [one for one in mutants if options.only in one.module and (options.again or one.key not in caught)]
    print(f"{len(todo)} of {len(mutants)} mutants", flush=True)
    survivors = 0
    with _saved(caught), ThreadPoolExecutor(options.processes) as pool:
        outcomes = pool.map(lambda one: caught_by(one, range(options.seeds), options.tests), todo)
        for done, (mutant, by) in enumerate(zip(todo, outcomes, strict=True), 1):
            caught[mutant.key] = by or (SURVIVED if set(options.tests) == set(TESTS) else OPEN)
            survivors += by is None
            print(f"{done}/{len(todo)} {' '.join(mutant.key)[:150]} <- {caught[mutant.key]}", flush=True)
            if done % 10 == 0:
                write_table(caught)
    print(f"{survivors} survive", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
