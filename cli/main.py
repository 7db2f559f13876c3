"""The command line of Nestbox: `nestbox COMMAND …`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError
from nestbox.errors import NestboxError
from pynamodb.exceptions import PynamoDBException
from rich.markup import escape

from cli import check, detect, export, operate, pack, push, runs, sample, tokens, watch
from cli.errors import CliError
from cli.options import Parser
from cli.output import console, print_json

DESCRIPTION = """\
An object detector that keeps getting better as its labelled data grows.

A folder of images and annotations goes up with `push`; preparing, training, judging and serving happen by
themselves; `watch` shows it; `detect` asks the model that serves."""

EPILOG = """\
example, on this machine (after `make local`):
  export NESTBOX_LOCAL=1
  nestbox sample birds
  nestbox push birds birds --watch
  nestbox token create me --scope detect --save
  nestbox detect birds/images/Jay/Jay_0004.jpg --dataset birds --out out/

exit codes: 0 well, 1 failed, 64 wrong usage; `check` and `watch` have more, see their --help"""

INTERRUPTED = 130


def parser() -> Parser:
    """The whole command line."""
    root = Parser(
        prog="nestbox",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for group in (sample, check, pack, export, push, watch, runs, operate, detect, tokens):
        group.register(commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except CliError as error:
        return _fail(error, options.json)
    except NestboxError as error:
        return _fail(CliError(str(error)), options.json)
    except ClientError as error:
        return _fail(_aws_refused(error), options.json)
    except PynamoDBException as error:
        return _fail(
            CliError(f"DynamoDB: {error}", "Check the caller's rights on the stack's tables."), options.json
        )
    except BotoCoreError as error:
        return _fail(
            CliError(f"AWS cannot be reached: {error}", "Check the network, region and credentials."),
            options.json,
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain again while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _aws_refused(error: ClientError) -> CliError:
    code = error.response["Error"]["Code"]
    if "AccessDenied" in code or code == "UnauthorizedOperation":
        return CliError(f"AWS refused: {error}", "The caller's role lacks this right.")
    if "ExpiredToken" in code or code in ("InvalidClientTokenId", "UnrecognizedClientException"):
        return CliError(f"AWS refused: {error}", "Log in again, or give another --profile.")
    return CliError(f"AWS refused: {error}")


def _fail(error: CliError, as_json: bool) -> int:
    if as_json:
        print_json(error.record())
    else:
        err = console(stderr=True)
        err.print(f"[red]nestbox:[/] {escape(error.message)}")
        if error.hint:
            err.print(f"  {escape(error.hint)}")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
