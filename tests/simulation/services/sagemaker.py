"""SageMaker: training jobs, models, configurations, and endpoints that move, fail and roll back.

Error codes as in local/sagemaker; descriptions may be some seconds behind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulation.services.paging import page_of
from simulation.services.refusal import RefusedError
from simulation.wiring import ACCOUNT, REGION

if TYPE_CHECKING:
    from simulation.world import World

Record = dict[str, Any]
_MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def arn(kind: str, name: str) -> str:
    """The ARN of a resource."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"


@dataclass
class Described:
    """What a Describe… call says of a resource, now and some seconds ago."""

    record: Record
    past: list[tuple[float, Record]] = field(default_factory=list)

    def change(self, now: float, **changes: Any) -> None:
        """Change it; None takes a member away."""
        self.past.append((now, dict(self.record)))
        self.record = {k: v for k, v in {**self.record, **changes}.items() if v is not None}

    def as_of(self, when: float) -> Record:
        """What was true then (or first)."""
        return next((record for changed_at, record in self.past if changed_at > when), self.record)


class SageMaker:
    """One account's resources. ``train`` does what a training container does."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.trainings: dict[str, Described] = {}
        self.forgotten = set[str]()
        """Training jobs that have ended and of which nobody knows any more."""
        self._unseen_until: dict[str, float] = {}
        """Training jobs that are not described yet, as descriptions follow creations."""
        self.transforms: dict[str, Described] = {}
        self.models: dict[str, Record] = {}
        self.configs: dict[str, Record] = {}
        self.endpoints: dict[str, Described] = {}
        self.served: list[tuple[float, str, str]] = []
        """When which endpoint began to serve which configuration."""
        self.targets: dict[str, str] = {}
        """Endpoint to the configuration that it was last asked for."""
        self.misuses: list[str] = []
        """What was deleted though an endpoint used it."""
        self.train: Callable[[Record], list[str]] = lambda _record: []
        """The mAP of each epoch, as the log has it."""

    # -- training

    def create_training_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["TrainingJobName"]
        if name in self.trainings:
            raise RefusedError(
                "ResourceInUse", "Training job names must be unique within an AWS account and region"
            )
        if not request.get("HyperParameters") or not request.get("InputDataConfig"):
            raise RefusedError("ValidationException", "no hyperparameters or no channels")
        for channel in request["InputDataConfig"]:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            if channel["ChannelName"] == "model" and not self._world.exists(uri):
                raise RefusedError("ValidationException", f"no S3 objects found under {uri}")
        moment = self._world.timeline.moment
        self.trainings[name] = Described(
            {
                **{key: value for key, value in request.items() if key != "Tags"},
                "TrainingJobArn": arn("training-job", name),
                "TrainingJobStatus": "InProgress",
                "SecondaryStatus": "Starting",
                "CreationTime": moment,
                "ModelArtifacts": {"S3ModelArtifacts": ""},
            }
        )
        label = self._world.alias(name)
        if self._world.mishap("training unseen", label):
            self._unseen_until[name] = self._world.timeline.now + self._world.chance.between(
                f"{label} unseen", 1.0, 30.0
            )
        self._train(name)
        return {"TrainingJobArn": arn("training-job", name)}

    def describe_training_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["TrainingJobName"]
        if name not in self.trainings:
            raise RefusedError("ValidationException", "Requested resource not found.")
        if name in self.forgotten or self._world.timeline.now < self._unseen_until.get(name, 0.0):
            raise RefusedError("ValidationException", "Requested resource not found.")
        record = dict(self._seen(self.trainings[name], name))
        if not record["ModelArtifacts"]["S3ModelArtifacts"]:
            del record["ModelArtifacts"]
        return record

    def stop_training_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        job = self.trainings.get(request["TrainingJobName"])
        if job is None:
            raise RefusedError("ValidationException", "Requested resource not found.")
        if job.record["TrainingJobStatus"] != "InProgress":
            status = job.record["TrainingJobStatus"]
            raise RefusedError(
                "ValidationException",
                f"The request was rejected because the training job is in status {status}.",
            )
        world, name = self._world, request["TrainingJobName"]
        job.change(world.timeline.now, TrainingJobStatus="Stopping", SecondaryStatus="Stopping")
        took = world.chance.between(f"{world.alias(name)} stops", 1.0, 60.0)
        world.timeline.after(took, lambda: self._end_training(name, "Stopped", "Stopped"))
        return {}

    def _train(self, name: str) -> None:
        world = self._world
        label = f"training {world.alias(name)}"
        begin = world.chance.between(f"{label} begins", 5.0, 40.0)
        record = self.trainings[name].record
        self._training_event(name)
        longest = record["StoppingCondition"]["MaxRuntimeInSeconds"]
        world.timeline.after(longest, lambda: self._end_training(name, "Stopped", "MaxRuntimeExceeded"))
        if world.mishap("job hangs", label):
            return
        if world.mishap("job fails", label):
            reason = "AlgorithmError: CUDA out of memory, exit code: 1"
            world.timeline.after(begin + 5, lambda: self._end_training(name, "Failed", "Failed", reason))
            return
        scores = self.train(record)
        for epoch, score in enumerate(scores):
            begin += world.chance.between(f"{label} epoch {epoch}", 3.0, 30.0)
            world.timeline.after(
                begin, lambda epoch=epoch, score=score: self._epoch(name, epoch, score, len(scores))
            )  # type: ignore[misc]
        world.timeline.after(begin + 2, lambda: self._end_training(name, "Completed", "Completed"))

    def _epoch(self, name: str, epoch: int, score: str, epochs: int) -> None:
        world = self._world
        if self.trainings[name].record["TrainingJobStatus"] != "InProgress":
            return
        self.trainings[name].change(world.timeline.now, SecondaryStatus="Training")
        label = f"log of {world.alias(name)} epoch {epoch}"
        if world.mishap("log lost", label):
            return
        lag = world.chance.between(label, 0.2, 4.0)
        if world.mishap("log late", label):
            lag = world.chance.between(f"{label} late", 5.0, 100.0)
        quality = f"#quality_metric: host=algo-1, epoch={epoch},"
        lines = [
            f"{quality} train cross_entropy <loss>=({1 / (epoch + 1):.4f})",
            f"{quality} train smooth_l1 <loss>=(0.25)",
            f"{quality} validation mAP <score>=({score})",
        ]
        if epoch == epochs - 1:
            lines.append("#progress_metric: host=algo-1, completed 100 % of epochs")
        for line in lines:
            world.logs.write("/aws/sagemaker/TrainingJobs", f"{name}/algo-1-1", line, lag=lag)

    def _end_training(self, name: str, status: str, secondary: str, reason: str | None = None) -> None:
        world, job = self._world, self.trainings[name]
        if job.record["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            return
        changes: Record = {
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
            "TrainingEndTime": world.timeline.moment,
            "FailureReason": reason,
        }
        if status == "Completed":
            uri = f"{job.record['OutputDataConfig']['S3OutputPath']}/{name}/output/model.tar.gz"
            world.write(uri, b"model")
            changes["ModelArtifacts"] = {"S3ModelArtifacts": uri}
        job.change(world.timeline.now, **changes)
        if world.mishap("training forgotten", world.alias(name)):
            self.forgotten.add(name)
        world.note(f"training job {name} is {status}" + (f": {reason}" if reason else ""))
        self._training_event(name)

    def _training_event(self, name: str) -> None:
        record = self.trainings[name].record
        status = record["TrainingJobStatus"]
        self._world.bus.emit(
            "aws.sagemaker",
            "SageMaker Training Job State Change",
            {
                "TrainingJobName": name,
                "TrainingJobStatus": status,
                "SecondaryStatus": record["SecondaryStatus"],
            },
            f"of training job {self._world.alias(name)} {status}",
        )

    # -- batch transform

    def create_transform_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        world, name = self._world, request["TransformJobName"]
        if name in self.transforms:
            raise RefusedError("ResourceInUse", "Job name must be unique within an AWS account and region")
        self._found(self.models, request["ModelName"], "model")
        self.transforms[name] = Described(
            {
                **{key: value for key, value in request.items() if key != "Tags"},
                "TransformJobArn": arn("transform-job", name),
                "TransformJobStatus": "InProgress",
                "CreationTime": world.timeline.moment,
            }
        )
        label = f"transform {world.alias(name)}"
        took = world.chance.between(f"{label} takes", 10.0, 90.0)
        if world.mishap("job hangs", label):
            # SageMaker gives a transform job no time limit of its own choosing.
            took = 3 * 3600.0
        reason = "ClientError: the container did not answer" if world.mishap("job fails", label) else None
        status = "Failed" if reason else "Completed"
        world.timeline.after(took, lambda: self._end_transform(name, status, reason))
        return {"TransformJobArn": arn("transform-job", name)}

    def describe_transform_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["TransformJobName"]
        if name not in self.transforms:
            raise RefusedError("ValidationException", f"Could not find requested job with name: {name}")
        return dict(self._seen(self.transforms[name], name))

    def stop_transform_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["TransformJobName"]
        job = self.transforms.get(name)
        if job is None:
            raise RefusedError("ValidationException", f"Could not find requested job with name: {name}")
        status = job.record["TransformJobStatus"]
        if status != "InProgress":
            raise RefusedError(
                "ValidationException",
                f"The request was rejected because the transform job is in status {status}.",
            )
        job.change(self._world.timeline.now, TransformJobStatus="Stopping")
        took = self._world.chance.between(f"{self._world.alias(name)} stops", 1.0, 60.0)
        self._world.timeline.after(took, lambda: self._end_transform(name, "Stopped", None))
        return {}

    def _end_transform(self, name: str, status: str, reason: str | None) -> None:
        job, world = self.transforms[name], self._world
        if job.record["TransformJobStatus"] not in ("InProgress", "Stopping"):
            return
        job.change(world.timeline.now, TransformJobStatus=status, FailureReason=reason)
        world.note(f"transform job {name} is {status}")
        if status == "Completed":
            world.write(
                f"{job.record['TransformOutput']['S3OutputPath']}done", job.record["ModelName"].encode()
            )
        world.bus.emit(
            "aws.sagemaker",
            "SageMaker Transform Job State Change",
            {"TransformJobName": name, "TransformJobStatus": status},
            f"of transform job {world.alias(name)} {status}",
        )

    # -- models and configurations

    def create_model(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        if name in self.models:
            raise RefusedError(
                "ValidationException", f'Cannot create already existing model "{arn("model", name)}".'
            )
        uri = request["PrimaryContainer"]["ModelDataUrl"]
        if not self._world.exists(uri):
            raise RefusedError("ValidationException", f"Could not find model data at {uri}.")
        self.models[name] = dict(request)
        return {"ModelArn": arn("model", name)}

    def describe_model(self, request: Mapping[str, Any]) -> dict[str, Any]:
        model = self._found(self.models, request["ModelName"], "model")
        return {
            **model,
            "ModelArn": arn("model", request["ModelName"]),
            "CreationTime": self._world.timeline.moment,
        }

    def delete_model(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        self._found(self.models, name, "model")
        del self.models[name]
        self._world.note(f"model {name} is deleted")
        for config in self.configs.values():
            if any(variant["ModelName"] == name for variant in config["ProductionVariants"]):
                self._misused(config["EndpointConfigName"], f"model {name}")
        return {}

    def create_endpoint_config(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        if name in self.configs:
            raise RefusedError(
                "ValidationException", f"Cannot create already existing endpoint configuration {name}"
            )
        for variant in request["ProductionVariants"]:
            self._found(self.models, variant["ModelName"], "model")
        self.configs[name] = dict(request)
        return {"EndpointConfigArn": arn("endpoint-config", name)}

    def describe_endpoint_config(self, request: Mapping[str, Any]) -> dict[str, Any]:
        config = self._found(self.configs, request["EndpointConfigName"], "endpoint configuration")
        return {
            **config,
            "EndpointConfigArn": arn("endpoint-config", request["EndpointConfigName"]),
            "CreationTime": self._world.timeline.moment,
        }

    def delete_endpoint_config(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._found(self.configs, request["EndpointConfigName"], "endpoint configuration")
        name = request["EndpointConfigName"]
        del self.configs[name]
        self._misused(name, f"configuration {name}")
        return {}

    # -- endpoints

    def create_endpoint(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        if name in self.endpoints:
            raise RefusedError(
                "ValidationException", f'Cannot create already existing endpoint "{arn("endpoint", name)}".'
            )
        self._found(self.configs, config, "endpoint configuration")
        world = self._world
        self.targets[name] = config
        self.endpoints[name] = Described(
            {
                "EndpointName": name,
                "EndpointArn": arn("endpoint", name),
                "EndpointConfigName": config,
                "EndpointStatus": "Creating",
                "CreationTime": world.timeline.moment,
                "LastModifiedTime": world.timeline.moment,
            }
        )
        label = world.chance.numbered(f"creation of {name} with {world.alias(config)}")
        self._move(name, label, lambda: self._created(name, config, label))
        return {"EndpointArn": arn("endpoint", name)}

    def update_endpoint(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        endpoint = self._found(self.endpoints, name, "endpoint")
        status = endpoint.record["EndpointStatus"]
        if status != "InService" and not (status == "UpdateRollbackFailed" and self._stuck_takes_updates()):
            raise RefusedError(
                "ValidationException",
                f'Cannot update in-progress endpoint "{arn("endpoint", name)}" ({status}).',
            )
        self._found(self.configs, config, "endpoint configuration")
        world = self._world
        endpoint.change(world.timeline.now, EndpointStatus="Updating", FailureReason=None)
        self.targets[name] = config
        label = world.chance.numbered(f"update of {name} to {world.alias(config)}")
        self._move(name, label, lambda: self._updated(name, config, label))
        return {"EndpointArn": arn("endpoint", name)}

    def describe_endpoint(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        return dict(self._seen(self._found(self.endpoints, name, "endpoint"), name))

    def list_endpoints(self, request: Mapping[str, Any]) -> dict[str, Any]:
        members = ("EndpointName", "EndpointArn", "EndpointStatus", "CreationTime", "LastModifiedTime")
        found = [
            one.record
            for name, one in sorted(self.endpoints.items())
            if request.get("NameContains", "") in name
        ]
        page, token = page_of(found, request.get("NextToken"))
        more = {"NextToken": token} if token else {}
        return {"Endpoints": [{member: record[member] for member in members} for record in page], **more}

    def delete_endpoint(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        endpoint = self._found(self.endpoints, name, "endpoint")
        if endpoint.record["EndpointStatus"] in _MOVING:
            raise RefusedError(
                "ValidationException", f'Cannot update in-progress endpoint "{arn("endpoint", name)}".'
            )
        endpoint.change(self._world.timeline.now, EndpointStatus="Deleting")
        # Nobody but this event tells of an endpoint that a person deletes; where it is lost as well, the
        # champion serves again with the next run or the next promotion.
        self._endpoint_event(name, self._world.chance.numbered(f"deletion of {name}"), loss=None)
        took = self._world.chance.between(self._world.chance.numbered(f"deletion of {name}"), 1.0, 20.0)
        self._world.timeline.after(took, lambda: self.endpoints.pop(name, None))
        return {}

    def _stuck_takes_updates(self) -> bool:
        """AWS does not say whether an endpoint whose rollback failed can be updated, so both is tried."""
        return self._world.chance.pick("endpoints whose rollback failed take updates", (True, False))

    def _move(self, name: str, label: str, then: Callable[[], None]) -> None:
        self._endpoint_event(name, label)
        self._world.timeline.after(self._world.chance.between(f"{label} takes", 5.0, 120.0), then)

    def _created(self, name: str, config: str, label: str) -> None:
        if self._world.mishap("deployment fails", label):
            self._rest(
                name, label, EndpointStatus="Failed", FailureReason="the container did not pass its ping"
            )
        else:
            self._rest(name, label, EndpointStatus="InService")
            self.served.append((self._world.timeline.now, name, config))

    def _updated(self, name: str, config: str, label: str) -> None:
        world = self._world
        if not world.mishap("deployment fails", label):
            self._rest(name, label, EndpointStatus="InService", EndpointConfigName=config)
            self.served.append((world.timeline.now, name, config))
            return
        reason = "an alarm rang while traffic was shifted"
        self._rest(name, f"{label} fails", EndpointStatus="RollingBack", FailureReason=reason)
        took = world.chance.between(f"{label} rolls back", 2.0, 60.0)
        status = "UpdateRollbackFailed" if world.mishap("rollback fails", label) else "InService"
        world.timeline.after(took, lambda: self._rest(name, f"{label} is undone", EndpointStatus=status))

    def _rest(self, name: str, label: str, **changes: Any) -> None:
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            return
        endpoint.change(self._world.timeline.now, LastModifiedTime=self._world.timeline.moment, **changes)
        record = endpoint.record
        self._world.note(f"endpoint {name} is {record['EndpointStatus']} on {record['EndpointConfigName']}")
        self._endpoint_event(name, label)

    def _endpoint_event(self, name: str, label: str, *, loss: str | None = "lost") -> None:
        status = self.endpoints[name].record["EndpointStatus"]
        spelled = "".join(f"_{c}" if c.isupper() else c for c in status).strip("_").upper()
        self._world.bus.emit(
            "aws.sagemaker",
            "SageMaker Endpoint State Change",
            {"EndpointName": name, "EndpointStatus": spelled},
            f"of {label} {spelled}",
            loss=loss,
        )

    # -- shared

    def _misused(self, config: str, deleted: str) -> None:
        """Note the deletion of what an endpoint uses.

        Of a configuration that is live or being deployed AWS says that you must not:
        docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpointConfig.html
        """
        for name, endpoint in self.endpoints.items():
            moving = endpoint.record["EndpointStatus"] in _MOVING
            if endpoint.record["EndpointConfigName"] == config or (moving and self.targets[name] == config):
                self.misuses.append(f"{deleted} was deleted while endpoint {name} used it")

    def _found(self, resources: Mapping[str, Any], name: str, kind: str) -> Any:
        if name not in resources:
            raise RefusedError("ValidationException", f"Could not find {kind} {name!r}.")
        return resources[name]

    def _seen(self, resource: Described, name: str) -> Record:
        world = self._world
        if not world.mishap("description lags", world.chance.numbered(f"of {world.alias(name)}")):
            return resource.record
        return resource.as_of(world.timeline.now - 4.0)
