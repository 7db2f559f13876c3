"""Guards and conditions taken out one at a time: which test notices?

``python -m simulation.mutants`` goes through rows/, steps/ and rules/ of the layer and writes
``mutants.tsv``: every mutant with what notices it. Nestbox, its tests and the simulator are imported once;
each mutant is a fork of that process in which one function has other code. It meets the unit tests that name
its module, twenty seeds of the simulator, and the tests that run through its lines (those first that run
through lines of its function which few others meet, for half a minute of CPU time; which they are is measured
once), until something fails. What the table knows is not tried again.
"""

import argparse
import ast
import contextlib
import functools
import gc
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import itertools
import json
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/nestbox/python/nestbox"
TABLE = Path(__file__).with_name("mutants.tsv")
COVERAGE = ROOT / ".nestbox/mutants-coverage.json"
"""Which tests run through which line, and their seconds."""
FOLDERS = ("rows", "steps", "rules")
UNIT, INTEGRATION = "tests/unit/pipeline", "tests/integration/pipeline"
FIRST_SEEDS, SEEDS = 2, 20
SURVIVED = "nothing"
SECONDS = 30
"""CPU time after which one test, or one seed, of a mutant hangs: that is noticed too."""
ENOUGH = 30
"""CPU time of the tests that a mutant meets at most: what they do not notice, a person has to look at."""

MOST_RELEVANT = 10
"""Tests that come before the seeds."""

Stage = range | list[str]
"""Seeds to play, or tests to run."""


@dataclass(frozen=True)
class Mutant:
    """One change to one place: ``number`` is its place among those of the module."""

    module: str
    number: int
    function: str
    change: str
    lines: range = field(compare=False)
    around: range = field(compare=False)
    """The lines of its function."""

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
        self._alike = Counter[tuple[str, str]]()
        self._around = range(0)

    def _at(self, node: ast.stmt | ast.expr, change: str, make: Callable[[], None]) -> None:
        function = ".".join(self._path) or "-"
        self._alike[function, change] += 1
        if self._alike[function, change] > 1:
            change += f" ({self._alike[function, change]})"
        mutant = Mutant(self._module, len(self.found), function, change, _lines(node), self._around)
        self.found.append(mutant)
        if mutant.number == self._wanted:
            make()

    def _within(self, node: Any) -> None:
        before, self._around = self._around, _lines(node)
        self._path.append(node.name)
        self.generic_visit(node)
        self._path.pop()
        self._around = before

    visit_FunctionDef = visit_ClassDef = _within  # noqa: N815

    def visit_If(self, node: ast.If) -> None:
        told = _text(node.test)
        if told == "TYPE_CHECKING":
            return
        for answer in (False, True):
            word = "always" if answer else "never"
            constant = ast.copy_location(ast.Constant(answer), node.test)
            self._at(node.test, f"if {told}: {word}", lambda c=constant: setattr(node, "test", c))
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """How something is told to people is no guard."""

    def visit_IfExp(self, node: ast.IfExp) -> None:
        if _is_wording(node.body) and _is_wording(node.orelse):
            return
        told = _text(node)
        for answer in (False, True):
            word = "always" if answer else "never"
            self._at(node, f"{told}: {word}", lambda a=answer: setattr(node, "test", ast.Constant(a)))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for place, value in enumerate(node.values):
            if _is_wording(value):
                continue
            change = f"{_text(node)}: without {_text(value)}"
            self._at(node, change, lambda p=place: _leave_out(node, p))
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
            read = ast.parse(ast.unparse(node.target), mode="eval").body
            self._at(node, f"without {_text(node)}", lambda: setattr(node, "value", read))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg == "condition" and not isinstance(keyword.value, ast.Name):
                change = f"without condition={_text(keyword.value)}"
                self._at(node, change, lambda k=keyword: setattr(k, "value", ast.Constant(None)))
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for place, test in enumerate(node.ifs):
            self._at(test, f"without if {_text(test)}", lambda p=place: node.ifs.pop(p))
        self.generic_visit(node)


def _lines(node: ast.stmt | ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _leave_out(node: ast.BoolOp, place: int) -> None:
    rest = node.values[:place] + node.values[place + 1 :]
    # a and a is a: the node stays what it is.
    node.values = rest if len(rest) > 1 else [*rest, *rest]


def _is_wording(node: ast.AST) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_wording(node.body) and _is_wording(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


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


def _tree(mutant: Mutant) -> ast.Module:
    tree = ast.parse(_source(mutant.module).read_text(encoding="utf-8"))
    _Changes(mutant.module, mutant.number).visit(tree)
    return ast.fix_missing_locations(tree)


def become(mutant: Mutant) -> None:
    """Give the function of a mutant its other code, in this process."""
    module = importlib.import_module(mutant.module)
    code = compile(_tree(mutant), str(_source(mutant.module)), "exec")
    holder: Any = module
    for name in mutant.function.split("."):
        holder = inspect.getattr_static(holder, name, None)
        code = next(
            (one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == name), code
        )
        function = _plain(holder)
        if function is not None:
            function.__code__ = code
            return
    raise NotImplementedError(f"{mutant.key} is in no function")


def _plain(held: Any) -> Any:
    """The function itself of what a name holds; None: it holds no function."""
    held = held.fget if isinstance(held, property) else held
    held = held.__func__ if isinstance(held, staticmethod | classmethod) else held
    held = inspect.unwrap(held) if callable(held) and not inspect.isclass(held) else held
    return held if inspect.isfunction(held) else None


def noticed_by(mutant: Mutant, stages: Sequence[Stage]) -> str | None:
    """What notices a mutant, or None. Runs in a fork of this process, which ``prepare`` has made ready."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            _be(mutant, stages, answer.fileno())
        _child, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "it hangs" if os.WTERMSIG(status) == signal.SIGPROF else "it kills the process"
        if status:
            raise RuntimeError(f"{mutant.key} could not be tried")
        answer.seek(0)
        return answer.read().decode() or None


def _be(mutant: Mutant, stages: Sequence[Stage], answer: int) -> None:
    """Never returns."""
    try:
        become(mutant)
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        told = next((by for stage in stages if (by := _notices(stage))), "")
        os.write(answer, told.encode())
        os._exit(0)
    except BaseException:  # noqa: BLE001  (this fork must not go on as the session)
        traceback.print_exc()
    finally:
        os._exit(1)


def _notices(stage: Stage) -> str | None:
    return _failing_seed(stage) if isinstance(stage, range) else _failing_test(stage)


def _failing_seed(seeds: range) -> str | None:
    from simulation.story import judge
    from simulation.world import simulated_aws

    with simulated_aws():
        for seed in seeds:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                broken = judge(seed).broken
            except Exception as error:  # noqa: BLE001
                broken = [type(error).__name__]
            if broken:
                return f"simulation, seed {seed}: {broken[0].partition(':')[0]}"
    return None


def _failing_test(tests: Sequence[str]) -> str | None:
    return next((test for test in tests if not _passes(test)), None)


def _passes(test: str, seconds: float = SECONDS) -> bool:
    assert _session is not None, "tests are run within with_tests"
    signal.setitimer(signal.ITIMER_PROF, seconds)
    item = _session.items[test]
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


class _Session:
    """A session of pytest that has collected the tests, and in whose place something else is done."""

    def __init__(self, work: Callable[[], int]) -> None:
        self._work = work
        self.items: dict[str, pytest.Item] = {}
        self.answer = 1

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.answer = self._work()
        return True


_session: _Session | None = None


def with_tests(work: Callable[[], int]) -> int:
    """Do something once all tests are collected, so that forks need not."""
    global _session
    _session = _Session(work)
    pytest.main(["-q", "-s", "-p", "no:cacheprovider", UNIT, INTEGRATION], plugins=[_session])
    return _session.answer


def prepare() -> None:
    """Import everything, and play one seed, so that forks need not."""
    from simulation.story import judge
    from simulation.world import simulated_aws

    os.chdir(ROOT)
    with simulated_aws():
        judge(0)
    gc.collect()
    gc.freeze()


# -- which tests to try


def find(mutant: Mutant, *, quick: bool = False) -> str | None:
    """What notices a mutant, or None: the cheapest is tried first. ``quick``: and only that."""
    first: list[Stage] = [_naming(mutant.module), range(FIRST_SEEDS)]
    by = noticed_by(mutant, first)
    if by is not None or quick:
        return by
    tests = _by_relevance(mutant)
    total = itertools.accumulate(seconds for _test, seconds in tests)
    met = [test for (test, _), so_far in zip(tests, total, strict=True) if so_far <= ENOUGH]
    return noticed_by(mutant, [met[:MOST_RELEVANT], range(FIRST_SEEDS, SEEDS), met[MOST_RELEVANT:]])


def _by_relevance(mutant: Mutant) -> list[tuple[str, float]]:
    """The tests that run through a mutant, with their seconds; those first that go where few others go."""
    met = {line: _coverage().get(f"{mutant.module}:{line}", {}) for line in mutant.around}
    relevance = Counter[str]()
    for tests in met.values():
        for test in tests:
            relevance[test] += 1 / len(tests)
    through = {test: seconds for line in mutant.lines for test, seconds in met.get(line, {}).items()}
    return sorted(through.items(), key=lambda one: (-relevance[one[0]], one[1]))


@functools.cache
def _naming(module: str) -> list[str]:
    """The unit tests in files that import from a module."""
    assert _session is not None, "tests are run within with_tests"
    package, _dot, name = module.rpartition(".")
    found = re.compile(rf"{re.escape(module)}\b|from {re.escape(package)} import .*\b{name}\b")
    paths = sorted((ROOT / UNIT).glob("test_*.py"))
    files = {f"{UNIT}/{path.name}" for path in paths if found.search(path.read_text(encoding="utf-8"))}
    return [test for test in _session.items if test.partition("::")[0] in files]


@functools.cache
def _coverage() -> dict[str, dict[str, float]]:
    """Line to the tests that run through it, with their seconds; measured anew where code has changed."""
    digest = hashlib.sha256()
    for folder in (PACKAGE, ROOT / INTEGRATION):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    known = json.loads(COVERAGE.read_text(encoding="utf-8")) if COVERAGE.exists() else {}
    if known.get("of") != digest.hexdigest():
        with tempfile.NamedTemporaryFile("w+") as told:
            child = os.fork()
            if child == 0:
                _measure(Path(told.name))
            if os.waitpid(child, 0)[1] != 0:
                raise SystemExit("Mend the tests that fail as they are first.")
            known = {
                "of": digest.hexdigest(),
                "tests": json.loads(Path(told.name).read_text(encoding="utf-8")),
            }
        COVERAGE.parent.mkdir(exist_ok=True)
        COVERAGE.write_text(json.dumps(known), encoding="utf-8")
    return dict(known["tests"])


def _measure(into: Path) -> None:
    """Run the integration tests, noting which lines each meets. Never returns."""
    assert _session is not None, "tests are run within with_tests"
    tests: dict[str, dict[str, float]] = {}
    mutated = tuple(str(PACKAGE / folder) for folder in FOLDERS)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        for test in _session.items:
            if not test.startswith(INTEGRATION):
                continue
            met = set[tuple[str, int]]()

            def note(
                frame: FrameType, event: str, _: object, met: set[tuple[str, int]] = met
            ) -> Callable[..., Any] | None:
                if not frame.f_code.co_filename.startswith(mutated):
                    return None
                if event == "line":
                    met.add((frame.f_code.co_filename, frame.f_lineno))
                return note

            begun = time.process_time()
            sys.settrace(note)
            well = _passes(test, 20 * SECONDS)
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if not well:
                print(f"{test} fails as it is", file=sys.stderr, flush=True)
                os._exit(1)
            took = round(time.process_time() - begun, 3)
            for file, line in met:
                path = Path(file).relative_to(PACKAGE.parent).with_suffix("")
                tests.setdefault(f"{'.'.join(path.parts)}:{line}", {})[test] = took
        into.write_text(json.dumps(tests), encoding="utf-8")
        os._exit(0)
    except BaseException:  # noqa: BLE001  (this fork must not go on as the session)
        traceback.print_exc()
    finally:
        os._exit(1)


# -- the table


def read_table() -> dict[tuple[str, str, str], str]:
    """What is written of each mutant."""
    if not TABLE.exists():
        return {}
    rows = (line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()[1:])
    return {(module, function, change): by for module, function, change, by in rows}


def write_table(noticed: dict[tuple[str, str, str], str]) -> None:
    """Write the table, for people and for the tests."""
    lines = [
        "module\tfunction\tchange\tnoticed by",
        *("\t".join([*key, by]) for key, by in sorted(noticed.items())),
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _saved(noticed: dict[tuple[str, str, str], str]) -> Iterator[None]:
    try:
        yield
    finally:
        write_table(noticed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the module's name")
    parser.add_argument("--again", action="store_true", help="also those of which it is known what notices")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="unit tests and two seeds; leave out survivors")
    options = parser.parse_args()
    mutants = all_mutants()
    known = read_table()
    noticed = {one.key: known[one.key] for one in mutants if one.key in known}
    todo = [
        one
        for one in mutants
        if options.only in one.module and (options.again or noticed.get(one.key, SURVIVED) == SURVIVED)
    ]
    print(f"{len(todo)} of {len(mutants)} mutants", flush=True)
    if not todo:
        return 0
    prepare()
    return with_tests(lambda: _try(todo, noticed, options.processes, quick=options.quick))


def _try(
    todo: Sequence[Mutant], noticed: dict[tuple[str, str, str], str], processes: int, *, quick: bool
) -> int:
    survivors = 0
    if not quick:
        _coverage()
    with _saved(noticed), ThreadPoolExecutor(processes) as pool:
        outcomes = pool.map(lambda one: find(one, quick=quick), todo)
        for done, (mutant, by) in enumerate(zip(todo, outcomes, strict=True), 1):
            survivors += by is None
            print(f"{done}/{len(todo)} {' '.join(mutant.key)[:150]} <- {by or SURVIVED}", flush=True)
            if by is not None or not quick:
                noticed[mutant.key] = by or SURVIVED
            if done % 10 == 0:
                write_table(noticed)
    print(f"{survivors} survive", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
