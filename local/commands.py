"""The command line of the local AWS."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from local.background import Connection, connection_file, down, healthy, up, write_connection
from local.errors import LocalError
from local.images import DEFAULT_IMAGES, REPOSITORY
from local.server import serve

DEFAULT_PORT = 4566
DEFAULT_STATE = REPOSITORY / ".nestbox" / "local"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 when it did what was asked, 1 when it could not (said on standard error)."""
    options = _parser().parse_args(arguments)
    state = Path(options.state).resolve()
    try:
        return int(options.run(options, state))
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace, state: Path) -> int:
    state.mkdir(parents=True, exist_ok=True)
    known = Connection.read(state)
    if known is None or not known.alive:
        write_connection(options.port, state, os.getpid())
    try:
        serve(options.port, state, Path(options.images).resolve())
    finally:
        mine = Connection.read(state)
        if mine is not None and mine.pid == os.getpid():
            connection_file(state).unlink(missing_ok=True)
    return 0


def _up(options: argparse.Namespace, state: Path) -> int:
    connection = up(options.port, state, Path(options.images).resolve(), fresh=options.fresh)
    print(f"The AWS on this machine is up at {connection.endpoint_url} (region {connection.region}).")
    print(f"  log: {state / 'server.log'}")
    print("  stop it: python -m local down")
    return 0


def _down(_options: argparse.Namespace, state: Path) -> int:
    print("Stopped, with everything it ran." if down(state) else "No server was running.")
    return 0


def _status(_options: argparse.Namespace, state: Path) -> int:
    connection = Connection.read(state)
    if connection is None:
        print("Not running.")
        return 1
    if healthy(connection.endpoint_url):
        print(f"Running at {connection.endpoint_url} (process {connection.pid}).")
        return 0
    print(f"Process {connection.pid} does not answer at {connection.endpoint_url}.")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="An AWS on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("serve", _serve, "serve in the foreground"),
        ("up", _up, "start in the background and wait until it is ready"),
        ("down", _down, "stop it and everything it runs"),
        ("status", _status, "say whether it runs (exit status 0) or not (1)"),
    ):
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.set_defaults(run=run)
        command.add_argument("--state", default=DEFAULT_STATE, help="its directory (default: %(default)s)")
        if name == "up":
            command.add_argument("--fresh", action="store_true", help="forget what the last server kept")
        if name in ("serve", "up"):
            command.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: %(default)s")
            command.add_argument(
                "--images", default=DEFAULT_IMAGES, help="image URIs → commands (default: %(default)s)"
            )
        else:
            command.add_argument("--port", type=int, default=DEFAULT_PORT, help=argparse.SUPPRESS)
    return parser
