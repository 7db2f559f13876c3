"""Who uploads, and who operates by hand: all of it from the seed."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.world import World

BUSY = 1500.0
"""Seconds during which people do things."""

DATASETS = ("birds", "bees")

_KINDS = (*["new"] * 5, "again", "same", "delete", "ready", "config", "stray")


class People:
    """Everybody."""

    def __init__(self, world: "World") -> None:
        self._world = world
        chance = world.chance
        self.deletions = 0
        """How many endpoints somebody deleted by hand."""
        self.datasets = DATASETS[: chance.pick("datasets", (1, 1, 2))]
        for dataset in self.datasets:
            for burst in range(chance.pick(f"bursts of {dataset}", (2, 3, 4, 5))):
                self._upload(dataset, burst)
        for number in range(chance.pick("interventions", (0, 0, 1, 2))):
            self._intervene(number)
        for number in range(chance.pick("operations", (0, 0, 2, 4, 8))):
            self._operate(number)

    def _upload(self, dataset: str, burst: int) -> None:
        chance = self._world.chance
        label = f"burst {burst} of {dataset}"
        begin = chance.between(f"{label} begins", 0.0, BUSY)
        for number in range(chance.pick(f"{label} has", (1, 2, 3, 4))):
            name = f"{label} {number}"
            begin += chance.between(f"{name} comes", 0.0, 20.0) ** 2 / 20
            what = chance.pick(f"{name} is", _KINDS) if number else "new"
            self._at(begin, *self._object(dataset, name, what, f"{burst}{number}"))

    def _object(self, dataset: str, name: str, what: str, unique: str) -> tuple[str, str, bytes | None]:
        chance = self._world.chance
        folder = f"datasets/{dataset}/"
        old = f"{folder}images/{chance.pick(f'{name} old', ('00', '01', '10'))}.jpg"
        if what == "again":
            return f"{dataset}: replaces {old}", old, f"bytes {unique}".encode()
        if what == "same":
            return f"{dataset}: uploads {old} as it is", old, b"bytes"
        if what == "delete":
            return f"{dataset}: deletes {old}", old, None
        if what == "ready":
            return f"{dataset}: uploads _READY", f"{folder}_READY", b""
        if what == "config":
            config = {
                "quiet_period": chance.pick(f"{name} quiet", (None, 5, 90)),
                "gate": chance.pick(f"{name} gate", ({}, {"min_map": 0.4}, {"min_improvement": -0.05})),
            }
            return (
                f"{dataset}: uploads nestbox.yaml {config}",
                f"{folder}nestbox.yaml",
                json.dumps(config).encode(),
            )
        if what == "stray":
            key = chance.pick(f"{name} stray", ("photo.jpg", "datasets/My Birds/1.jpg", f"{folder}images/"))
            return f"uploads stray {key}", key, b"stray"
        key = f"{folder}images/{unique}.jpg"
        return f"{dataset}: uploads {key}", key, b"bytes"

    def _at(self, when: float, name: str, key: str, content: bytes | None) -> None:
        world = self._world
        name = world.chance.numbered(f"person: {name}")

        def act() -> None:
            if world.chance.done(name, world.timeline.now):
                world.note(name)
                world.s3.put(world.wiring.uploads_bucket, key, content)

        world.timeline.at(when, act)

    def _intervene(self, number: int) -> None:
        """Somebody acts in the consoles of AWS."""
        world = self._world
        what = world.chance.pick(
            f"intervention {number}", ("stop training", "terminate job", "delete endpoint")
        )
        when = world.chance.between(f"intervention {number} at", 60.0, BUSY)
        name = world.chance.numbered(f"person: {what} in the console")

        def act() -> None:
            if not world.chance.done(name, world.timeline.now):
                return
            if what == "stop training":
                going = [
                    k
                    for k, v in world.sagemaker.trainings.items()
                    if v.record["TrainingJobStatus"] == "InProgress"
                ]
                if going:
                    world.note(f"{name}: {going[-1]}")
                    world.sagemaker.stop_training_job({"TrainingJobName": going[-1]})
            elif what == "delete endpoint":
                resting = [
                    k
                    for k, v in world.sagemaker.endpoints.items()
                    if v.record["EndpointStatus"] == "InService"
                ]
                if resting:
                    world.note(f"{name}: {resting[0]}")
                    self.deletions += 1
                    world.sagemaker.delete_endpoint({"EndpointName": resting[0]})
            else:
                jobs = [job for job in world.batch.jobs.values() if not job.ended and job.parent is None]
                if jobs:
                    world.note(f"{name}: {jobs[-1].name}")
                    world.batch.terminate_job({"jobId": jobs[-1].id, "reason": "terminated by a person"})

        world.timeline.at(when, act)

    def _operate(self, number: int) -> None:
        """An operator calls the API, now and then twice."""
        world, chance = self._world, self._world.chance
        label = f"operation {number}"
        what = chance.pick(
            label, ("promote", "promote", "rollback", "leave", "pin", "unpin", "cancel", "start", "again")
        )
        dataset = chance.pick(f"{label} dataset", self.datasets)
        name = chance.numbered(f"person: operator: {what} ({dataset})")

        def act() -> None:
            if not chance.done(name, world.timeline.now):
                return
            runs = sorted(run for owner, run in world.rows("RunsTable") if owner == dataset)
            run = chance.pick(f"{label} run", runs) if runs else None
            row = world.rows("DatasetsTable").get((dataset,), {})
            calls: dict[str, tuple[str, str | None, dict[str, object]]] = {
                "promote": ("/runs/{run}/promote", run, {}),
                "rollback": ("/datasets/{dataset}/rollback", dataset, {}),
                "leave": (
                    "/datasets/{dataset}/rollback",
                    dataset,
                    {"leave": row.get("champion_run", {}).get("S")},
                ),
                "pin": ("/datasets/{dataset}/pin", dataset, {"pinned": True}),
                "unpin": ("/datasets/{dataset}/pin", dataset, {"pinned": False}),
                "cancel": ("/runs/{run}/cancel", row.get("active_run", {}).get("S") or run, {}),
                "start": ("/datasets/{dataset}/runs", dataset, {}),
                "again": ("/datasets/{dataset}/runs", dataset, {"snapshot_run": run}),
            }
            route, subject, more = calls[what]
            if subject is None or None in more.values():
                return
            path = route.replace("{run}", subject).replace("{dataset}", subject)
            world.note(f"operator: POST {path} {more or ''}")
            for _time in range(2 if world.mishap("twice", name) else 1):
                world.lambda_.post(
                    path,
                    route,
                    {"why": f"{what} as asked", **more},
                    lambda status, body: world.note(f"operator is told {status}: {body}"),
                )

        world.timeline.at(chance.between(f"{label} at", 100.0, BUSY), act)
