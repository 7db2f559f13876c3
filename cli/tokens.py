"""`nestbox token`: make, list and revoke tokens of the API, with AWS rights on the stack's table."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from nestbox.api import tokens
from nestbox.api.tokens import Scope
from nestbox.tables import TokenRow
from nestbox.timestamps import now, to_text

from cli import credentials
from cli.options import Commands, Parser, add_command, add_stack_options, count_from
from cli.output import console, print_json, table
from cli.stack import find_stack


def register(commands: Commands[Parser]) -> None:
    """Add the command and its three actions."""
    group = commands.add_parser(
        "token",
        help="Make, list and revoke tokens of the API.",
        description="Make, list and revoke tokens of the API.",
        epilog="example:\n  nestbox token create camera-1 --scope detect --days 90",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True, parser_class=Parser)

    parser = add_command(
        actions,
        "create",
        run_create,
        summary="Make a token and show it, once.",
        details="""
            detect: ask models for boxes. read: see datasets, runs, reports. operate: start, promote, cancel.
        """,
        example="nestbox token create camera-1 --scope detect --days 90",
    )
    parser.add_argument("name", metavar="NAME", help="who uses it")
    parser.add_argument(
        "--scope",
        action="append",
        choices=[str(scope) for scope in Scope],
        help="what it opens; may be given several times (default: detect)",
    )
    parser.add_argument(
        "--days", type=count_from(1), metavar="N", help="how long it is good (default: for ever)"
    )
    parser.add_argument(
        "--save", action="store_true", help="keep it for this user, so that `nestbox detect` finds it"
    )
    add_stack_options(parser)

    parser = add_command(actions, "list", run_list, summary="List the tokens.", example="nestbox token list")
    add_stack_options(parser)

    parser = add_command(
        actions,
        "revoke",
        run_revoke,
        summary="End a token for good.",
        example="nestbox token revoke 1a2b3c4d",
    )
    parser.add_argument("token_id", metavar="ID", help="as `nestbox token list` shows it")
    add_stack_options(parser)


def run_create(options: argparse.Namespace) -> int:
    """Make a token."""
    stack = find_stack(options)
    scopes = [Scope(scope) for scope in options.scope or [Scope.DETECT]]
    lifetime = timedelta(days=options.days) if options.days else None
    token, row = tokens.create(options.name, scopes, lifetime)
    saved = credentials.save(stack.api_url, token, row.name) if options.save else None
    if options.json:
        print_json({**_record(row), "token": token, "saved_to": str(saved) if saved else None})
        return 0
    out = console()
    out.print(token, markup=False)
    err = console(stderr=True)
    err.print(f"token {row.token_id} for {row.name}: {', '.join(sorted(row.scopes))}. It is shown only now.")
    if saved:
        err.print(f"kept in {saved}")
    else:
        err.print("use it: export NESTBOX_TOKEN=…, or make it with --save")
    return 0


def run_list(options: argparse.Namespace) -> int:
    """List the tokens."""
    find_stack(options)
    rows = tokens.every()
    if options.json:
        print_json({"tokens": [_record(row) for row in rows]})
        return 0
    out = console()
    if not rows:
        out.print("no tokens yet\nnext: nestbox token create NAME --scope detect")
        return 0
    out.print(
        table(
            ["id", "name", "scopes", "created", "state"],
            [
                [row.token_id, row.name, " ".join(sorted(row.scopes)), row.created_at, _state(row)]
                for row in rows
            ],
        )
    )
    return 0


def run_revoke(options: argparse.Namespace) -> int:
    """End a token."""
    find_stack(options)
    row = tokens.revoke(options.token_id)
    if options.json:
        print_json(_record(row))
    else:
        console().print(
            f"token {row.token_id} ({row.name}) is revoked; the API may honour it for one more minute"
        )
    return 0


def _state(row: TokenRow) -> str:
    if row.revoked_at:
        return f"revoked {row.revoked_at}"
    if row.expires_at is None:
        return "good"
    return (
        f"good until {to_text(row.expires_at)}"
        if row.expires_at > now()
        else f"expired {to_text(row.expires_at)}"
    )


def _record(row: TokenRow) -> dict[str, Any]:
    return {
        "token_id": row.token_id,
        "name": row.name,
        "scopes": sorted(row.scopes),
        "created_at": row.created_at,
        "expires_at": to_text(row.expires_at) if row.expires_at else None,
        "revoked_at": row.revoked_at,
    }
