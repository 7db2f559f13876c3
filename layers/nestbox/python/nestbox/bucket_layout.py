"""Where things are in the two buckets (the only module that knows).

Uploads:   datasets/{dataset}/**                    _READY as a file name: start a run now
Artifacts: runs/{run}/snapshot.jsonl.gz
           runs/{run}/prep/{summary.json,report.json,report.html,classes.json,held_out.jsonl}
           runs/{run}/prep/channels/{train,validation}/{train,validation}.rec
           runs/{run}/prep/lists/{train,validation}.{lst,idx}
           runs/{run}/prep/judging.manifest                 (the held-out pictures that models are judged on)
           runs/{run}/prep/{trained_before.jsonl,index.sqlite,annotations.sqlite}
           runs/{run}/prep/work/                            (between the jobs of a large preparation)
           runs/{run}/output/{training job}/output/model.tar.gz       (the part after output/ is SageMaker's)
           runs/{run}/checkpoints/
           runs/{run}/transform/{candidate,champion}/*.out  (what each model says to them)
           runs/{run}/evaluation/{report.json,report.html}
           judging/{dataset}/*.jpg                          (those pictures themselves, of all runs)
"""

from typing import Literal

from nestbox.errors import BadNameError
from nestbox.names import JudgedModel, training_job_name, transform_job_name

DATASETS = "datasets/"
RUNS = "runs/"
READY_MARKER = "_READY"
CONFIG_FILE = "nestbox.yaml"

Channel = Literal["train", "validation"]


def s3_uri(bucket: str, key: str) -> str:
    """``s3://bucket/key``."""
    return f"s3://{bucket}/{key}"


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an S3 URI; raises BadNameError where it is none."""
    bucket, slash, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not slash:
        raise BadNameError(f"{uri!r} is no S3 URI: expected s3://BUCKET/KEY")
    return bucket, key


def dataset_prefix(dataset: str) -> str:
    """Under which the uploads of a dataset are."""
    return f"{DATASETS}{dataset}/"


def folder_of_upload(key: str) -> str | None:
    """The folder under ``datasets/`` an uploaded object is in, a dataset name or not.

    None where the object is in no folder under ``datasets/``.
    """
    if not key.startswith(DATASETS):
        return None
    folder, slash, _rest = key.removeprefix(DATASETS).partition("/")
    return folder if slash else None


def is_ready_marker(key: str) -> bool:
    """Whether the object is the wish to start now, and no part of the data."""
    return key.rpartition("/")[2] == READY_MARKER


def run_prefix(run: str) -> str:
    """Under which everything of a run is."""
    return f"{RUNS}{run}/"


def snapshot_key(run: str) -> str:
    """The frozen list of the objects a run works on."""
    return run_prefix(run) + "snapshot.jsonl.gz"


def prep_prefix(run: str) -> str:
    """Under which the preparation job writes."""
    return run_prefix(run) + "prep/"


def summary_key(run: str) -> str:
    """The result of the preparation job, written last."""
    return prep_prefix(run) + "summary.json"


def report_key(run: str, kind: Literal["json", "html"] = "html") -> str:
    """The report on the data for people (html) or programs (json)."""
    return prep_prefix(run) + f"report.{kind}"


def held_out_key(run: str) -> str:
    """The list of images that are never trained on."""
    return prep_prefix(run) + "held_out.jsonl"


def channel_prefix(run: str, channel: Channel) -> str:
    """Under which the RecordIO file of a channel is, alone."""
    return prep_prefix(run) + f"channels/{channel}/"


def output_prefix(run: str) -> str:
    """What SageMaker is told as S3OutputPath (without the slash at the end, as SageMaker adds one)."""
    return run_prefix(run) + "output"


def model_key(run: str) -> str:
    """Where SageMaker puts the model of a run's training job."""
    return f"{output_prefix(run)}/{training_job_name(run)}/output/model.tar.gz"


def checkpoints_prefix(run: str) -> str:
    """Where a training job on spot capacity keeps its checkpoints."""
    return run_prefix(run) + "checkpoints/"


def judging_prefix(dataset: str) -> str:
    """Under which the held-out pictures lie that models are judged on, those of all runs of a dataset."""
    return f"judging/{dataset}/"


def judging_manifest_key(run: str) -> str:
    """Which of these pictures a run is judged on, as batch transform reads it."""
    return prep_prefix(run) + "judging.manifest"


def answers_prefix(run: str, model: JudgedModel, round_: int = 1) -> str:
    """Under which a transform job puts a model's answers to a run's held-out pictures."""
    kind = transform_job_name(run, model, round_).removeprefix(f"{run}-")
    return run_prefix(run) + f"transform/{kind}/"


def evaluation_prefix(run: str) -> str:
    """Under which the evaluation job writes."""
    return run_prefix(run) + "evaluation/"


def evaluation_key(run: str, kind: Literal["json", "html"] = "html") -> str:
    """The report on a run's model for people (html) or programs (json, written last)."""
    return evaluation_prefix(run) + f"report.{kind}"
