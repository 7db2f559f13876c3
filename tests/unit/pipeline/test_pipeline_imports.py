"""Imports point one way: functions, then steps, then rows and gateways, then rules, then the words."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "layers" / "nestbox" / "python" / "nestbox"
FUNCTIONS = [
    ROOT / "functions" / name / f"{name}.py"
    for name in (
        "intake",
        "start_run",
        "start_training",
        "record_run",
        "judge",
        "update_endpoint",
        "reconcile",
        "announce",
    )
]
RANK = {"rules": 1, "rows": 2, "gateways": 2, "steps": 3}
WORDS = {
    "bucket_layout",
    "errors",
    "events",
    "names",
    "prep_summary",
    "settings",
    "states",
    "tables",
    "timestamps",
}
PURE = {"rules", "names", "states", "bucket_layout", "errors", "prep_summary"}
STANDARD_LIBRARY_ONLY = ["names", "states", "bucket_layout", "errors", "prep_summary", "timestamps", "rules"]
ALLOWED_ANYWHERE = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "nestbox",
    "pydantic",
    "pynamodb",
    "mypy_boto3_batch",
    "mypy_boto3_events",
    "mypy_boto3_logs",
    "mypy_boto3_s3",
    "mypy_boto3_sagemaker",
    "mypy_boto3_sns",
    "mypy_boto3_sqs",
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "nestbox":
                yield from (f"nestbox.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def group(module):
    return module.split(".")[1] if module.startswith("nestbox.") else None


def ours():
    return sorted(
        path
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] in RANK or path.stem in WORDS | {"handling"}
    )


@pytest.mark.parametrize("path", ours(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    rank = RANK.get(own, 0 if own in WORDS else 4)
    for module in imports(path):
        target = group(module)
        if target is None or target == own:
            continue
        assert target in RANK or target in WORDS, f"{path.name} imports {module}"
        assert RANK.get(target, 0) < rank or rank == 0 == RANK.get(target, 0), f"{path.name} imports {module}"
    if own == "gateways":
        assert not any(module.startswith("nestbox.rows") for module in imports(path))


@pytest.mark.parametrize("name", STANDARD_LIBRARY_ONLY)
def test_what_jobs_import_too_needs_the_standard_library_only(name):
    paths = [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").exists() else (PACKAGE / name).rglob("*.py")
    for path in paths:
        foreign = {module.split(".")[0] for module in imports(path)} & (ALLOWED_ANYWHERE - {"nestbox"})
        assert not foreign, f"{path.name} imports {foreign}"


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: path.stem)
def test_functions_are_thin_and_import_only_the_layers(path):
    assert len(path.read_text().splitlines()) < 60
    for module in imports(path):
        top = module.split(".")[0]
        assert top in ALLOWED_ANYWHERE or top in sys.stdlib_module_names, f"{path.name} imports {module}"
        assert group(module) not in ("rows", "rules", "tables"), (
            f"{path.name} reaches past its step: {module}"
        )
    assert "nestbox.settings" in set(imports(path))
