"""Looks at a run that is being deployed: puts its model behind the dataset's endpoint."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, cast

from nestbox import names, timestamps
from nestbox.errors import AwsRefusedError
from nestbox.gateways.endpoints import Endpoints
from nestbox.gateways.queues import Queues
from nestbox.rows import runs
from nestbox.rules.deploying import Deploying, NotDeployed, decide_deploying
from nestbox.rules.training_request import tags
from nestbox.settings import UpdateEndpointSettings
from nestbox.states import State
from nestbox.steps.endings import end_run
from nestbox.tables import RunRow, find_dataset, get_run

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import ProductionVariantInstanceTypeType

BY = "update_endpoint"


class UpdateEndpoint:
    """The step."""

    def __init__(
        self,
        settings: UpdateEndpointSettings,
        endpoints: Endpoints,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._queues = queues
        self._clock = clock

    def look_at_dataset(self, dataset: str) -> str:
        """Look at the run that is deploying to a dataset's endpoint, if one is."""
        row = find_dataset(dataset)
        if row is None or row.active_run is None:
            return "nothing to do: no run is under way"
        return self.look(row.active_run)

    def look(self, run: str) -> str:
        """Look at a run; returns what was done."""
        row = get_run(run)
        if runs.state_of(row) is not State.DEPLOYING:
            return f"nothing to do: {row.state}"
        name, config = names.endpoint_name(row.dataset), names.endpoint_config_name(run)
        endpoint = self._endpoints.describe(name)
        asked_at = timestamps.from_text(row.endpoint_asked_at) if row.endpoint_asked_at else None
        decision = decide_deploying(endpoint, config, asked_at=asked_at, now=self._clock())
        if isinstance(decision, NotDeployed):
            return self._fail(row, decision)
        if decision is Deploying.WAIT and endpoint is not None:
            return f"the endpoint is {endpoint.status}"
        if decision is Deploying.SERVED:
            return self._serve(row, config)
        if decision is Deploying.REMOVE:
            self._endpoints.delete(name)
            return "an endpoint that never served is being removed"
        return self._ask(row, decision, name, config)

    def _ask(self, row: RunRow, decision: Deploying, name: str, config: str) -> str:
        try:
            self._endpoints.ensure_config(
                config,
                variant=names.variant_name(row.run),
                model=names.model_name(row.run),
                instance_type=cast(
                    "ProductionVariantInstanceTypeType", self._settings.endpoint_instance_type
                ),
                instance_count=self._settings.endpoint_instance_count,
                tags=tags(row.run),
            )
            if decision is Deploying.CREATE:
                self._endpoints.create(name, config, tags(row.run)[:1])
            else:
                self._endpoints.update(name, config)
        except AwsRefusedError as error:
            return self._fail(row, NotDeployed(str(error)))
        # After asking, not before: asked twice does no harm, but a note without its deed would be taken for
        # an update that was rolled back.
        runs.note(
            row,
            [
                RunRow.endpoint_config.set(config),
                RunRow.endpoint_asked_at.set(timestamps.to_text(self._clock())),
            ],
        )
        return f"asked to {decision.value} endpoint {name}"

    def _serve(self, row: RunRow, config: str) -> str:
        return end_run(
            row,
            State.SERVED,
            by=BY,
            why=f"endpoint {names.endpoint_name(row.dataset)} serves it",
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
            facts={"endpoint_config": config},
            dataset_facts={"champion_run": row.run},
        )

    def _fail(self, row: RunRow, failed: NotDeployed) -> str:
        done = end_run(
            row,
            State.FAILED,
            by=BY,
            why="the model could not be deployed",
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
            failure=failed.reason,
        )
        # After the end of the run: should this not happen, the next run removes what is left.
        if failed.remove:
            self._endpoints.delete(names.endpoint_name(row.dataset))
        return done
