"""Brings a dataset's endpoint to the model that is wanted, and keeps it there."""

from collections.abc import Callable, Iterator
from datetime import datetime

from nestbox import names, timestamps
from nestbox.errors import AwsRefusedError
from nestbox.events import dataset_message, run_message
from nestbox.gateways.endpoint_alarms import EndpointAlarms
from nestbox.gateways.endpoints import Endpoints
from nestbox.gateways.queues import Queues
from nestbox.gateways.trainings import Trainings
from nestbox.rows import promotions, runs
from nestbox.rules.deploying import (
    ASKING_LIVES,
    Deploying,
    Endpoint,
    NotDeployed,
    bake_seconds_left,
    decide_deploying,
    is_moving,
    is_on_its_way,
    serves,
)
from nestbox.rules.pruning import KnownModel, models_to_prune
from nestbox.rules.serving import Serving
from nestbox.rules.training_request import tags
from nestbox.settings import UpdateEndpointSettings
from nestbox.states import State, has_ended
from nestbox.steps.endings import end_run, give_up_promotion, settle
from nestbox.tables import DatasetRow, RunRow, find_dataset, find_run, get_dataset, get_run

BY = "update_endpoint"


class UpdateEndpoint:
    """The step."""

    def __init__(
        self,
        settings: UpdateEndpointSettings,
        endpoints: Endpoints,
        trainings: Trainings,
        alarms: EndpointAlarms,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._trainings = trainings
        self._alarms = alarms
        self._queues = queues
        self._clock = clock

    def look_at_dataset(self, name: str) -> str:
        """Look at a dataset's endpoint: on its way to the wanted model, or to be kept on the champion's."""
        dataset = find_dataset(name)
        if dataset is None:
            return "nothing to do: no such dataset"
        if dataset.wanted_run is not None:
            return self.look(dataset.wanted_run)
        return self._keep_champion(dataset)

    def look(self, run: str, *, follow: bool = False) -> str:
        """Look at a run; returns what was done. ``follow``: ask for the next look where it goes on."""
        row = get_run(run)
        if runs.state_of(row) is not State.DEPLOYING:
            return f"nothing to do: {row.state}"
        dataset = get_dataset(row.dataset)
        if dataset.wanted_run != run:
            # Tables that were edited or restored: a run that nobody wants served must not stay DEPLOYING.
            return self._end_unwanted(row)
        if row.pruned_at and self._clock() < timestamps.from_text(row.pruned_at) + ASKING_LIVES:
            return self._wait(row, follow, "its model is just being deleted, to be made anew")
        endpoint = self._endpoints.describe(names.endpoint_name(row.dataset))
        if row.cancel is not None:
            return self._call_off(row, dataset, endpoint)
        decision = decide_deploying(
            endpoint,
            names.endpoint_config_name(run),
            asked=promotions.asked_of(dataset),
            now=self._clock(),
        )
        if isinstance(decision, NotDeployed):
            return self._fail(row, dataset, endpoint, decision)
        if decision is Deploying.WAIT:
            return self._wait(row, follow, f"the endpoint is {endpoint.status if endpoint else 'being made'}")
        if decision is Deploying.SERVED and endpoint is not None:
            return self._bake(row, dataset, endpoint, follow)
        if decision is Deploying.REMOVE:
            return self._remove(row, dataset)
        return self._ask(row, dataset, endpoint, decision)

    def _ask(self, row: RunRow, dataset: DatasetRow, endpoint: Endpoint | None, decision: Deploying) -> str:
        name, config = names.endpoint_name(row.dataset), names.endpoint_config_name(row.run)
        promotions.lease_asking(dataset, row.run, self._clock())
        try:
            self._make_ready(row, config)
            if decision is Deploying.CREATE:
                self._endpoints.create(name, config, tags(row.run)[:1])
            else:
                self._endpoints.update(name, config)
        except AwsRefusedError as error:
            promotions.drop_lease(dataset)
            if endpoint is not None and endpoint.status != "InService":
                return self._remove(row, dataset)
            return self._fail(row, dataset, endpoint, NotDeployed(str(error)))
        promotions.note_taken(dataset, self._clock())
        self._look_again(row)
        return f"asked to {decision.value} endpoint {name}"

    def _make_ready(self, row: RunRow, config: str) -> None:
        model = names.model_name(row.run)
        if row.image and row.model_data:
            # Made when training ended; made anew where it was pruned since.
            self._trainings.ensure_model(
                model, row.image, row.model_data, self._settings.serving_role_arn, tags(row.run)
            )
        self._endpoints.ensure_config(
            config,
            variant=names.variant_name(row.run),
            model=model,
            serving=Serving.of(self._settings),
            tags=tags(row.run),
        )
        self._alarms.renew(row.run)

    def _remove(self, row: RunRow, dataset: DatasetRow) -> str:
        self._delete_endpoint(row, dataset)
        self._look_again(row)
        return "an endpoint that serves nothing is being removed"

    def _delete_endpoint(self, row: RunRow, dataset: DatasetRow) -> None:
        promotions.lease_asking(dataset, row.run, self._clock())
        self._endpoints.delete(names.endpoint_name(row.dataset))
        promotions.drop_lease(dataset)

    def _bake(self, row: RunRow, dataset: DatasetRow, endpoint: Endpoint, follow: bool) -> str:
        """The wanted model serves; unless it brings back one that has served, its first minutes count."""
        goes_back = dataset.rollback_from is not None or dataset.champion_run in (None, row.run)
        left = bake_seconds_left(endpoint, self._settings.bake_seconds, self._clock())
        if goes_back or left <= 0:
            return self._serve(row, dataset)
        firing = self._alarms.firing(row.run)
        if firing:
            return self._fail(row, dataset, endpoint, NotDeployed(f"an alarm went off: {'; '.join(firing)}"))
        return self._wait(row, follow, f"it serves, and its alarms are watched for {left:.0f} s more")

    def _serve(self, row: RunRow, dataset: DatasetRow) -> str:
        why = f"endpoint {names.endpoint_name(row.dataset)} serves it"
        promotions.serve(row, dataset, by=BY, why=why, now=self._clock())
        settle(row.dataset, self._queues, self._settings.settle_queue_url)
        pruned = self._prune(get_dataset(row.dataset))
        return f"{State.SERVED}: {why}" + (f"; pruned {', '.join(pruned)}" if pruned else "")

    def _fail(self, row: RunRow, dataset: DatasetRow, endpoint: Endpoint | None, failed: NotDeployed) -> str:
        if failed.remove:
            self._delete_endpoint(row, dataset)
        return self._give_up(
            row, dataset, endpoint, State.FAILED, BY, "the model could not be deployed", failed.reason
        )

    def _call_off(self, row: RunRow, dataset: DatasetRow, endpoint: Endpoint | None) -> str:
        wish = row.cancel
        assert wish is not None
        if dataset.champion_run in (None, row.run):
            # There is nothing to go back to, so the endpoint goes with the run.
            on_its_way = is_on_its_way(promotions.asked_of(dataset), endpoint, self._clock())
            if on_its_way or (endpoint is not None and is_moving(endpoint)):
                return "to be cancelled once the endpoint has come to rest"
            if endpoint is not None:
                self._delete_endpoint(row, dataset)
                return "cancelled; its endpoint is being removed"
        return self._give_up(row, dataset, endpoint, State.CANCELLED, wish.by, wish.why, None)

    def _give_up(
        self,
        row: RunRow,
        dataset: DatasetRow,
        endpoint: Endpoint | None,
        to: State,
        by: str,
        why: str,
        failure: str | None,
    ) -> str:
        champion = find_run(dataset.champion_run) if dataset.champion_run else None
        restore = champion if champion is not None and champion.run != row.run else None
        if restore is not None:
            config = names.endpoint_config_name(restore.run)
            asked = promotions.asked_of(dataset)
            in_doubt = is_on_its_way(asked, endpoint, self._clock())
            if serves(endpoint, config) and not in_doubt:
                restore = None
        outcome = give_up_promotion(
            row,
            dataset,
            to,
            by=by,
            why=why,
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
            failure=failure,
            restore=restore,
        )
        if restore is not None:
            self._queues.send(self._settings.endpoint_queue_url, run_message(restore.run, follow=True))
            outcome += f"; {restore.run} is put back"
        return outcome

    def _end_unwanted(self, row: RunRow) -> str:
        return end_run(
            row,
            State.CANCELLED,
            by=BY,
            why="its model is no longer wanted",
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
        )

    def _keep_champion(self, dataset: DatasetRow) -> str:
        if dataset.champion_run is None:
            return "nothing to do: no model serves"
        # The row was read before the endpoint: whoever promotes meanwhile changes the row first.
        endpoint = self._endpoints.describe(names.endpoint_name(dataset.dataset))
        champion = get_run(dataset.champion_run)
        if serves(endpoint, names.endpoint_config_name(champion.run)):
            return f"nothing to do: {champion.run} serves"
        if endpoint is not None and is_moving(endpoint):
            # Somebody else moves it, and of a deletion no event tells how it ends.
            self._queues.send(
                self._settings.endpoint_queue_url,
                dataset_message(dataset.dataset),
                self._settings.follow_seconds,
            )
            return f"the endpoint is {endpoint.status}"
        if runs.state_of(champion) is not State.SERVED:
            return f"{champion.run} could not be put back: an operator must promote a run"
        serving = endpoint.config if endpoint is not None else "nothing"
        why = f"the endpoint serves {serving}, though this run is the champion"
        promotions.want(champion, dataset, by=BY, why=why, now=self._clock())
        self._queues.send(self._settings.endpoint_queue_url, run_message(champion.run, follow=True))
        return f"{champion.run} is put back: {why}"

    def _prune(self, dataset: DatasetRow) -> list[str]:
        """Delete models that are neither new nor in use. What a crash leaves, the next promotion finds."""
        in_use = {run for run in (dataset.champion_run, dataset.wanted_run) if run}
        rows = {row.run: row for row in self._unpruned(dataset)}
        known = [
            KnownModel(row.run, bool(row.model), has_ended(runs.state_of(row)), bool(row.pruned_at))
            for row in sorted(rows.values(), key=lambda row: row.run, reverse=True)
        ]
        going = models_to_prune(known, keep=self._settings.keep_models, in_use=in_use)
        for run in going:
            runs.claim_pruning(rows[run], self._clock())
            self._endpoints.delete_config_and_model(names.endpoint_config_name(run), names.model_name(run))
            self._alarms.delete(run)
        for run in {reign.run for reign in (dataset.champions or [])[-2:]} - in_use:
            # It serves no more, so nobody is to be told of it.
            self._alarms.delete(run)
        return going

    def _unpruned(self, dataset: DatasetRow) -> Iterator[RunRow]:
        """The newest runs up to one that was pruned, and former champions, which may be older."""
        for row in RunRow.query(dataset.dataset, scan_index_forward=False, consistent_read=True):
            if row.pruned_at:
                break
            yield row
        for run in {reign.run for reign in dataset.champions or []}:
            former = find_run(run)
            if former is not None:
                yield former

    def _wait(self, row: RunRow, follow: bool, why: str) -> str:
        if follow:
            self._look_again(row)
        return why

    def _look_again(self, row: RunRow) -> None:
        self._queues.send(
            self._settings.endpoint_queue_url,
            run_message(row.run, follow=True),
            self._settings.follow_seconds,
        )
