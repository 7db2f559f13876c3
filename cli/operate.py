"""`nestbox promote`, `rollback`, `pin`, `cancel` and `start`: what operators do by hand."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict

from nestbox import timestamps
from nestbox.errors import ActionRefusedError
from nestbox.gateways.queues import Queues
from nestbox.settings import OperateSettings
from nestbox.states import State, has_ended
from nestbox.steps.operate import Done, Operate, Operator
from nestbox.tables import RunRow, find_run, get_dataset, get_run
from rich.markup import escape

from cli.errors import CliError
from cli.following import Expected
from cli.options import Commands, Parser, add_command, add_stack_options, dataset_name
from cli.output import console, print_json
from cli.stack import Stack, find_stack
from cli.watch import ENDS, follow

_WAITING = """
            Waits and shows what happens, like `watch` and with its exit codes; --no-wait returns once it is
            written down. Doing it twice does no harm. Who (the caller's AWS identity) and why go into the
            history.
        """


def register(commands: Commands[Parser]) -> None:
    """Add the five commands."""
    parser = add_command(
        commands,
        "promote",
        run_promote,
        summary="Have a run's model served, whatever the gate said.",
        details="""
            Any run that was trained: rejected, failed later on, cancelled, or champion once before. A run
            that is on its way in is cancelled for it.
        """
        + _WAITING,
        example='nestbox promote birds-20261124224000-1a2b --why "finds the wrens that we need"',
    )
    parser.add_argument("target", metavar="RUN", help="id of the run")
    _add_common(parser, waits=True)

    parser = add_command(
        commands,
        "rollback",
        run_rollback,
        summary="Undo the last promotion: the champion before serves again.",
        details="""
            Where a run is on its way in, it is called off and the champion stays. Rolling back again goes
            back one champion more. The next run that passes the gate is promoted all the same; `pin`
            prevents it.
        """
        + _WAITING,
        example='nestbox rollback birds --why "misses every wren"',
    )
    parser.add_argument("target", metavar="DATASET", type=dataset_name, help="name of the dataset")
    _add_common(parser, waits=True)

    parser = add_command(
        commands,
        "pin",
        run_pin,
        summary="Keep the champion: no run is promoted by itself any more.",
        details="Runs go on being trained and judged, and operators may still promote.",
        example='nestbox pin birds --why "on show until Friday"\nnestbox pin birds --off',
    )
    parser.add_argument("target", metavar="DATASET", type=dataset_name, help="name of the dataset")
    parser.add_argument("--off", action="store_true", help="let runs that pass the gate be promoted again")
    _add_common(parser, waits=False)

    parser = add_command(
        commands,
        "cancel",
        run_cancel,
        summary="End a run before its time, with its jobs.",
        details="""
            Of a run that is on its way in, the endpoint goes back to the champion.
        """
        + _WAITING,
        example='nestbox cancel birds-20261124224000-1a2b --why "wrong labels"',
    )
    parser.add_argument("target", metavar="RUN", help="id of the run")
    _add_common(parser, waits=True)

    parser = add_command(
        commands,
        "start",
        run_start,
        summary="Start a run now, or again on an old snapshot.",
        details="""
            Does not wait for the quiet period, and asks for no changes.
        """
        + _WAITING,
        example="nestbox start birds\nnestbox start birds --again birds-20261124224000-1a2b",
    )
    parser.add_argument("target", metavar="DATASET", type=dataset_name, help="name of the dataset")
    parser.add_argument("--again", metavar="RUN", help="work on the snapshot of this run")
    _add_common(parser, waits=True)


def run_promote(options: argparse.Namespace) -> int:
    """Promote a run."""
    stack = find_stack(options)
    before = get_run(options.target)
    done = _act(lambda: _actions(stack).promote(options.target, _operator(stack, options)))
    return _show(stack, options, done, before=before)


def run_rollback(options: argparse.Namespace) -> int:
    """Roll back from what serves, or is on its way in, as this is called."""
    stack = find_stack(options)
    dataset = get_dataset(options.target)
    leave = dataset.wanted_run or dataset.champion_run
    operator = _operator(stack, options)
    done = _act(lambda: _actions(stack).rollback(options.target, operator, leave=leave))
    # Its history as it was: what the write above appended is news.
    before = _before(done)
    hint = (
        ""
        if dataset.pinned
        else f"the next run that passes the gate is promoted; to prevent it: nestbox pin {options.target}"
    )
    return _show(stack, options, done, before=before, hint=hint)


def run_pin(options: argparse.Namespace) -> int:
    """Pin or unpin."""
    stack = find_stack(options)
    operator = _operator(stack, options)
    return _tell(options, _act(lambda: _actions(stack).pin(options.target, not options.off, operator)))


def run_cancel(options: argparse.Namespace) -> int:
    """Cancel a run; that it ends CANCELLED is what was asked for."""
    stack = find_stack(options)
    before = get_run(options.target)
    done = _act(lambda: _actions(stack).cancel(options.target, _operator(stack, options)))
    code = _show(stack, options, done, before=before)
    return 0 if code == ENDS[State.CANCELLED] else code


def run_start(options: argparse.Namespace) -> int:
    """Start a run."""
    stack = find_stack(options)
    expected = Expected(get_dataset(options.target).last_run, timestamps.now())
    operator = _operator(stack, options)
    done = _act(lambda: _actions(stack).start(options.target, operator, snapshot_run=options.again))
    return _show(stack, options, done, expected=expected)


def _before(done: Done) -> RunRow | None:
    run = find_run(done.run) if done.run else None
    if run is not None and done.changed:
        del run.history[-1]
    return run


def _act(action: Callable[[], Done]) -> Done:
    try:
        return action()
    except ActionRefusedError as error:
        raise CliError(error.message, error.hint) from error


def _show(
    stack: Stack,
    options: argparse.Namespace,
    done: Done,
    *,
    before: RunRow | None = None,
    expected: Expected | None = None,
    hint: str = "",
) -> int:
    if options.no_wait or (not done.changed and before is not None and has_ended(State(before.state))):
        return _tell(options, done, hint)
    if not options.json:
        console().print(escape(done.told), soft_wrap=True)
    target = done.run or done.dataset
    code = follow(
        stack, target, expected=expected, as_json=options.json, timeout=options.timeout, before=before
    )
    if hint and not options.json:
        console().print(hint)
    return code


def _tell(options: argparse.Namespace, done: Done, hint: str = "") -> int:
    if options.json:
        print_json(asdict(done))
        return 0
    out = console()
    out.print(escape(done.told), soft_wrap=True)
    if hint:
        out.print(hint)
    return 0


def _actions(stack: Stack) -> Operate:
    settings = OperateSettings(
        settle_queue_url=stack.queues["SettleQueue"],
        endpoint_queue_url=stack.queues["EndpointQueue"],
        cancel_queue_url=stack.queues["CancelQueue"],
    )
    return Operate(settings, Queues(stack.session.client("sqs")))


def _operator(stack: Stack, options: argparse.Namespace) -> Operator:
    """Whom AWS knows the caller as: `anna` of `user/anna` or of `assumed-role/Admin/anna`."""
    arn = stack.session.client("sts").get_caller_identity()["Arn"]
    return Operator(arn.rsplit(":", 1)[-1].rsplit("/", 1)[-1], options.why)


def _add_common(parser: Parser, *, waits: bool) -> None:
    parser.add_argument(
        "--why", default="asked for on the command line", help="the reason, for the history (say it)"
    )
    if waits:
        parser.add_argument("--no-wait", action="store_true", help="return once it is written down")
        parser.add_argument("--timeout", type=float, metavar="SECONDS", help="stop waiting after this long")
    add_stack_options(parser)
