"""What operators do: promote, roll back, pin, cancel, start a run. Each may be sent twice."""

from http import HTTPStatus
from typing import Annotated, Any, Protocol

from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.event_handler.openapi.params import Body
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from pydantic import BaseModel, Field

from nestbox.api.documented import Dataset, Run, error_answers
from nestbox.api.views import ActionView
from nestbox.names import check_dataset_name
from nestbox.steps.operate import Done, Operate, Operator


class Because(BaseModel):
    """Why it is done; the history keeps it."""

    why: Annotated[str, Field(min_length=1, max_length=500)] = "asked for over the API"


class StartBody(Because):
    """Which data the run works on."""

    snapshot_run: Annotated[
        str | None,
        Field(description="Work on the snapshot of this run again; else on what is uploaded now"),
    ] = None


class RollbackBody(Because):
    """What to get away from."""

    leave: Annotated[
        str | None,
        Field(
            description="Only where this run serves or is on its way in: sent twice, it goes back once",
        ),
    ] = None


class PinBody(Because):
    """Whether to stop automatic promotion."""

    pinned: Annotated[bool, Field(description="false: runs that pass the gate are promoted again")] = True


_NO_REASON = Because()
_START, _ROLLBACK, _PIN = StartBody(), RollbackBody(), PinBody()


class Actions(Protocol):
    """Makes the actions when they are first needed."""

    def __call__(self) -> Operate: ...


_ERRORS: dict[int, Any] = error_answers(
    {
        400: "A parameter or body that is not what it should be",
        401: "No valid token",
        403: "The token lacks the scope operate",
        404: "No such dataset or run",
        409: "It cannot be done as things stand; the hint says what can",
    }
)
_ANSWERS: dict[str, Any] = {
    "tags": ["operate"],
    "responses": {
        202: {
            "description": "Done, or under way: the run's history shows how it goes on",
            "content": {"application/json": {"model": ActionView}},
        },
        **_ERRORS,
    },
}


def operate_routes(actions: Actions) -> APIGatewayRouter:
    """The routes that change something."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]

    def operator(body: Because) -> Operator:
        caller = router.current_event.raw_event["requestContext"]["authorizer"]
        return Operator(f"{caller['token_name']} (token {caller['token_id']})", body.why)

    # These answer 202 with a body of their own, which Powertools does not hold to a type.
    @router.post(
        "/runs/<run>/promote", summary="Have a run's model served, whatever the gate said", **_ANSWERS
    )
    def promote(run: Run, body: Annotated[Because, Body()] = _NO_REASON):  # type: ignore[no-untyped-def]
        return _answer(actions().promote(run, operator(body)))

    @router.post("/runs/<run>/cancel", summary="End a run before its time, with its jobs", **_ANSWERS)
    def cancel(run: Run, body: Annotated[Because, Body()] = _NO_REASON):  # type: ignore[no-untyped-def]
        return _answer(actions().cancel(run, operator(body)))

    @router.post(
        "/datasets/<dataset>/rollback",
        summary="Undo the last promotion: the champion before serves",
        **_ANSWERS,
    )
    def rollback(dataset: Dataset, body: Annotated[RollbackBody, Body()] = _ROLLBACK):  # type: ignore[no-untyped-def]
        done = actions().rollback(check_dataset_name(dataset), operator(body), leave=body.leave)
        return _answer(done)

    @router.post("/datasets/<dataset>/pin", summary="Stop automatic promotion, or let it go on", **_ANSWERS)
    def pin(dataset: Dataset, body: Annotated[PinBody, Body()] = _PIN):  # type: ignore[no-untyped-def]
        return _answer(actions().pin(check_dataset_name(dataset), body.pinned, operator(body)))

    @router.post(
        "/datasets/<dataset>/runs", summary="Start a run now, or again from an old snapshot", **_ANSWERS
    )
    def start(dataset: Dataset, body: Annotated[StartBody, Body()] = _START):  # type: ignore[no-untyped-def]
        name = check_dataset_name(dataset)
        return _answer(actions().start(name, operator(body), snapshot_run=body.snapshot_run))

    return router


def _answer(done: Done) -> Response[dict[str, Any]]:
    view = ActionView(dataset=done.dataset, run=done.run, changed=done.changed, told=done.told)
    return Response(HTTPStatus.ACCEPTED.value, content_types.APPLICATION_JSON, view.model_dump())
