"""What operators read: datasets, runs, epochs, the reports about a run's data and model."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from nestbox.api.documented import Dataset, Run, error_answers
from nestbox.api.reports import ReportKind
from nestbox.api.run_pages import MAX_PAGE, runs_page
from nestbox.api.views import (
    DatasetsView,
    DatasetView,
    EpochsView,
    EpochView,
    ReportView,
    RunsView,
    RunView,
)
from nestbox.names import check_dataset_name
from nestbox.tables import REJECTED_ROW, DatasetRow, epochs_of, get_dataset, get_run

Reports = Callable[[ReportKind, str], ReportView]
"""Links to a report of a run that exists; raises NotFoundError where it has none (yet)."""


_ERRORS: dict[int, Any] = error_answers(
    {
        400: "A parameter that is not what it should be",
        401: "No valid token",
        403: "The token lacks the scope read",
        404: "No such dataset, run or report",
    }
)
_READ: dict[str, Any] = {"tags": ["read"]}


def runs_routes(reports: Reports) -> APIGatewayRouter:
    """The routes that read; ``reports`` links to the reports of a run."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]

    @router.get("/datasets", summary="All datasets", responses=_answers(DatasetsView), **_READ)
    def list_datasets() -> DatasetsView:
        views = sorted((DatasetView.of(row) for row in DatasetRow.scan()), key=lambda view: view.dataset)
        return DatasetsView(
            datasets=[view for view in views if view.dataset != REJECTED_ROW],
            rejected=[defect for view in views if view.dataset == REJECTED_ROW for defect in view.defects],
        )

    @router.get("/datasets/<dataset>", summary="One dataset", responses=_answers(DatasetView), **_READ)
    def show_dataset(dataset: Dataset) -> DatasetView:
        return DatasetView.of(get_dataset(check_dataset_name(dataset)))

    @router.get("/runs", summary="Runs, newest first", responses=_answers(RunsView), **_READ)
    def list_runs(
        dataset: Annotated[str | None, Query(description="Only the runs of this dataset")] = None,
        cursor: Annotated[str | None, Query(description="From the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Runs to a page")] = 25,
    ) -> RunsView:
        if dataset is not None:
            get_dataset(check_dataset_name(dataset))
        return RunsView.of(runs_page(dataset, cursor, limit))

    @router.get("/runs/<run>", summary="One run", responses=_answers(RunView), **_READ)
    def show_run(run: Run) -> RunView:
        return RunView.of(get_run(run))

    @router.get("/runs/<run>/epochs", summary="The epochs of a run", responses=_answers(EpochsView), **_READ)
    def show_epochs(run: Run) -> EpochsView:
        return EpochsView(run=get_run(run).run, epochs=[EpochView.of(row) for row in epochs_of(run)])

    @router.get(
        "/runs/<run>/report",
        summary="The report about a run's data",
        description="Links that need no token for a while; with Accept: text/html a redirect.",
        responses={**_answers(ReportView), 303: {"description": "The page is at Location"}},
        **_READ,
    )
    def show_report(run: Run):  # type: ignore[no-untyped-def]  # A redirect has no body to hold to a type.
        return _linked(reports("report", get_run(run).run))

    @router.get(
        "/runs/<run>/evaluation",
        summary="The report about a run's model, beside the champion",
        description="Links that need no token for a while; with Accept: text/html a redirect.",
        responses={**_answers(ReportView), 303: {"description": "The page is at Location"}},
        **_READ,
    )
    def show_evaluation(run: Run):  # type: ignore[no-untyped-def]  # A redirect has no body to hold to a type.
        return _linked(reports("evaluation", get_run(run).run))

    def _linked(view: ReportView) -> Response[Any]:
        accept = router.current_event.headers.get("accept") or ""
        if accept.lower().startswith("text/html"):
            return Response(HTTPStatus.SEE_OTHER.value, headers={"Location": view.html})
        return Response(HTTPStatus.OK.value, "application/json", view.model_dump(by_alias=True))

    return router


def _answers(view: type) -> dict[int, Any]:
    return {
        200: {"description": "OK", "content": {"application/json": {"model": view}}},
        **_ERRORS,
    }
