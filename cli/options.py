"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from nestbox.errors import BadNameError
from nestbox.names import check_dataset_name

from cli.errors import UsageError

Run = Callable[[argparse.Namespace], int]
Commands = argparse._SubParsersAction  # argparse has no public name for what add_subparsers returns


class Parser(argparse.ArgumentParser):
    """Usage errors get an exit code of their own: `check` already speaks with 1 and 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is."""
        self.exit(UsageError.exit_code, f"nestbox: {message}\n  help: {self.prog} --help\n")


def add_command(
    commands: Commands[Parser], name: str, run: Run, *, summary: str, example: str, details: str = ""
) -> Parser:
    """A command with help, an example and --json."""
    parser = commands.add_parser(
        name,
        help=summary,
        description="\n\n".join(part for part in (summary, textwrap.dedent(details).strip()) if part),
        epilog="example:\n" + textwrap.indent(textwrap.dedent(example).strip(), "  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs instead of text")
    parser.set_defaults(run=run)
    return parser


def add_stack_options(parser: argparse.ArgumentParser) -> None:
    """Which stack of which AWS is meant."""
    group = parser.add_argument_group("stack")
    group.add_argument(
        "--stack",
        default=os.environ.get("NESTBOX_STACK", "nestbox"),
        help="name of the CloudFormation stack (NESTBOX_STACK; default: nestbox)",
    )
    group.add_argument("--region", help="AWS region (default: as the AWS CLI finds it)")
    group.add_argument("--profile", help="AWS profile (default: as the AWS CLI finds it)")
    group.add_argument(
        "--local",
        action="store_true",
        default=os.environ.get("NESTBOX_LOCAL") == "1",
        help="the AWS on this machine that `make local` starts (NESTBOX_LOCAL=1)",
    )


def dataset_name(text: str) -> str:
    """Type of an argument that names a dataset."""
    try:
        return check_dataset_name(text)
    except BadNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def existing_folder(text: str) -> Path:
    """Type of an argument that names a folder."""
    folder = Path(text)
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return folder


def count_from(least: int) -> Callable[[str], int]:
    """Type of an argument that counts something, at least `least`."""

    def count(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return value

    return count


def share(text: str) -> float:
    """Type of an argument from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value
