"""What the containers of Batch and SageMaker do, told by the snapshot they work on and by chance."""

import io
import json
import math
from typing import TYPE_CHECKING, Any

from nestbox.prep_summary import PrepSummary
from nestbox.rules.snapshots import SnapshotEntry, count, decode

from simulation.services.batch import Job

if TYPE_CHECKING:
    from simulation.world import World


class Containers:
    """The work of all jobs."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.scores: dict[str, list[float]] = {}
        """Training job to the true mAP of its epochs."""

    def run_job(self, job: Job) -> tuple[int, str]:
        """A Batch job's container: exit code and last line of its log."""
        parameters = job.request["parameters"]
        if "answers" in parameters:
            return self._evaluate(parameters)
        command = parameters["command"]
        if command in ("prepare", "merge"):
            return self._prepare(parameters)
        assert command in ("plan", "slice"), command
        return 0, f"{command} done"

    def train(self, record: dict[str, Any]) -> list[str]:
        """A training container: the mAP of each epoch as the log has it."""
        world, name = self._world, record["TrainingJobName"]
        label = world.alias(name)
        epochs = 1 + int(3 * world.chance.uniform(f"epochs of {label}"))
        scores = [round(world.chance.between(f"score of {label} {n}", 0.2, 0.9), 4) for n in range(epochs)]
        if world.mishap("score is nan", label):
            scores[-1] = math.nan
        self.scores[name] = scores
        return [f"{score:.6f}" for score in scores]

    def _evaluate(self, parameters: dict[str, str]) -> tuple[int, str]:
        """Scores follow from the models whose answers are there, not from who asks."""
        world, run = self._world, parameters["run"]
        champion = parameters.get("champion_run")
        candidate_map = self._score(parameters["answers"], run)
        champion_map = self._score(parameters["champion_answers"], run) if champion else None

        def model(score: float | None) -> dict[str, Any]:
            ap = None if score is None else score
            return {"map": score, "classes": [{"name": "wren", "boxes": 30, "ap": ap}]}

        report = {
            "run": run,
            "champion_run": champion,
            "split": "validation",
            "pictures": 8,
            "left_out": 0,
            "note": parameters.get("note", ""),
            "candidate": model(candidate_map),
            "champion": model(champion_map) if champion else None,
            "difference": None,
        }
        world.write(f"{parameters['output']}report.json", json.dumps(report).encode())
        return 0, "evaluated"

    def _score(self, answers: str, run: str) -> float | None:
        """The score of the model whose answers these are, on a run's pictures."""
        content = self._world.read(f"{answers}done")
        assert content is not None, f"there are no answers at {answers}"
        return self.true_score(content.decode(), run)

    def true_score(self, model: str, run: str) -> float | None:
        """What a model is worth on a run's held-out pictures; None: no number."""
        best = max((one for one in self.scores[model] if math.isfinite(one)), default=None)
        label = f"{self._world.alias(model)} on the pictures of {self._world.alias(run)}"
        return None if best is None else round(best + self._world.chance.between(label, -0.05, 0.05), 4)

    def _prepare(self, parameters: dict[str, str]) -> tuple[int, str]:
        world, run = self._world, parameters["run"]
        entries = snapshot(world, parameters["snapshot"])
        if parameters["previous"] != "-" and not world.exists(f"{parameters['previous']}classes.json"):
            return 1, f"the previous preparation {parameters['previous']} has no classes.json"
        images = count(entries).images
        config: dict[str, Any] = {}
        for entry in entries:
            if entry.key.endswith("nestbox.yaml"):
                content = world.s3.read(world.wiring.uploads_bucket, entry.key, entry.version_id)
                assert content is not None, "a snapshot names a version that is gone"
                config = json.loads(content)
        blocked = images == 0 or world.mishap("data blocked", world.alias(run))
        held_out = max(1, images // 4)
        summary = PrepSummary(
            run=run,
            dataset=parameters["dataset"],
            outcome="BLOCKED" if blocked else "READY",
            reasons=["no usable image"] if blocked else [],
            images=images,
            usable_images=images,
            boxes=2 * images,
            train_images=images,
            train_samples=2 * images,
            validation_images=held_out,
            classes=["cardinal", "wren"],
            label_width=12,
            config={"training": {}, "gate": config.get("gate", {})},
            quiet_period=config.get("quiet_period"),
        )
        world.write(f"{parameters['output']}classes.json", b"[]")
        # Only the first copy of a job writes its result (If-None-Match).
        if not world.exists(f"{parameters['output']}summary.json"):
            world.write(f"{parameters['output']}summary.json", summary.to_json().encode())
        return 0, "prepared"


def snapshot(world: "World", uri: str) -> list[SnapshotEntry]:
    """The entries of a snapshot."""
    content = world.read(uri)
    assert content is not None, f"there is no snapshot {uri}"
    return list(decode(io.BytesIO(content)))
