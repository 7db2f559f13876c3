"""What the API answers, as models: the OpenAPI document is made of them. Unknown fields are left out."""

from typing import Self

from pydantic import BaseModel, Field

from nestbox.api.run_pages import RunPage
from nestbox.tables import DatasetRow, EpochRow, RunRow


class BoxView(BaseModel):
    """Corners in pixels of the picture as a person sees it (EXIF orientation applied)."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


class DetectionView(BaseModel):
    """One object."""

    class_: str = Field(alias="class", description="Name of the class")
    score: float = Field(description="From 0 to 1")
    box: BoxView


class ImageView(BaseModel):
    """Size in pixels as a person sees the picture."""

    width: int
    height: int


class DetectView(BaseModel):
    """What was found in a picture, best first."""

    dataset: str
    run: str = Field(description="The run whose model answered")
    image: ImageView
    detections: list[DetectionView]
    model_latency_ms: float


class ErrorDetail(BaseModel):
    """One failure."""

    code: str = Field(description="Stable, for programs")
    message: str = Field(description="What is wrong")
    hint: str = Field(description="What to do")


class ErrorView(BaseModel):
    """The one shape of every error."""

    error: ErrorDetail


class ActionView(BaseModel):
    """What came of an action."""

    dataset: str
    run: str | None = Field(None, description="The run whose history shows how it goes on")
    changed: bool = Field(description="false: it was so already")
    told: str = Field(description="What is happening now, in words")


class ReignView(BaseModel):
    """One time that a run's model came to serve."""

    run: str
    at: str
    by: str
    why: str
    back_from: str | None = Field(None, description="The run that a rollback took out of service")


class PinningView(BaseModel):
    """One time that automatic promotion was stopped or let go on."""

    pinned: bool
    at: str
    by: str
    why: str


class WishView(BaseModel):
    """What an operator asked for and has not begun yet."""

    at: str
    by: str
    why: str
    snapshot_run: str | None = None


class NoticeView(BaseModel):
    """A defect of an upload that no run carries."""

    code: str
    severity: str
    file: str
    message: str
    hint: str
    at: str


class DatasetView(BaseModel):
    """One dataset. Times are UTC."""

    dataset: str
    champion_run: str | None = Field(None, description="The run whose model serves")
    wanted_run: str | None = Field(None, description="The run whose model is on its way in")
    active_run: str | None = Field(None, description="The run that is under way")
    start_asked: WishView | None = Field(None, description="A run that an operator asked for")
    last_run: str | None = None
    last_upload_at: str | None = None
    first_pending_at: str | None = Field(None, description="Since when uploads wait for a run")
    dataset_version: str | None = Field(None, description="SHA-256 of the last run's snapshot")
    classes: list[str] | None = None
    pinned: bool = False
    champions: list[ReignView] | None = Field(None, description="Whose models served, the newest last")
    pins: list[PinningView] | None = Field(None, description="Who pinned and unpinned, the newest last")
    defects: list[NoticeView] = []

    @classmethod
    def of(cls, row: DatasetRow) -> Self:
        """The view of a stored dataset."""
        return cls.model_validate(row.to_simple_dict())


class DatasetsView(BaseModel):
    """All datasets, by name; ``rejected`` holds uploads that belong to no dataset."""

    datasets: list[DatasetView]
    rejected: list[NoticeView] = []


class TransitionView(BaseModel):
    """One move of a run."""

    from_: str | None = Field(None, alias="from")
    to: str
    at: str
    by: str
    why: str


class ClassDecisionView(BaseModel):
    """One class under both models: average precision at an overlap of 0.5, from 0 to 1."""

    name: str
    boxes: int
    candidate_ap: float | None = None
    champion_ap: float | None = None
    fall: float | None = Field(None, description="By how much the candidate is worse; negative: better")


class DecisionView(BaseModel):
    """What the gate decided, with its numbers (mAP from 0 to 1)."""

    promote: bool
    reason: str
    split: str | None = Field(None, description="Whose pictures judged: test or validation")
    images: int | None = Field(None, description="Pictures that both models were judged on")
    images_left_out: int | None = Field(None, description="Held out, but an earlier run trained on them")
    candidate_map: float | None = None
    champion_map: float | None = None
    champion_run: str | None = None
    improvement: float | None = None
    improvement_low: float | None = Field(None, description="Where the improvement lies, by paired bootstrap")
    improvement_high: float | None = None
    confidence: float | None = Field(None, description="Of that interval")
    share_better: float | None = Field(None, description="Share of the resamples won by the candidate")
    min_map: float | None = None
    min_improvement: float | None = None
    max_class_drop: float | None = None
    enough_boxes: int | None = Field(None, description="From so many boxes on the fall of a class counts")
    classes: list[ClassDecisionView] | None = None
    note: str | None = None


class FailureView(BaseModel):
    """Why a run failed."""

    stage: str
    reason: str


class RunSummaryView(BaseModel):
    """One run, in a list."""

    run: str
    dataset: str
    state: str
    created_at: str
    updated_at: str
    images: int | None = None
    boxes: int | None = None
    best_map: float | None = Field(None, description="Best validation mAP@0.5, from 0 to 1")

    @classmethod
    def of(cls, row: RunRow) -> Self:
        """The view of a stored run."""
        return cls.model_validate(row.to_simple_dict())


class RunsView(BaseModel):
    """Runs, newest first; ``cursor`` is there while more follow."""

    runs: list[RunSummaryView]
    cursor: str | None = None

    @classmethod
    def of(cls, page: RunPage) -> Self:
        """The view of a page."""
        return cls(runs=[RunSummaryView.of(row) for row in page.runs], cursor=page.cursor)


class RunView(RunSummaryView):
    """All that is known about a run."""

    train_images: int | None = None
    validation_images: int | None = None
    test_images: int | None = None
    defects: dict[str, int] | None = Field(None, description="Number of defects by severity")
    classes: list[str] | None = Field(None, description="In id order")
    snapshot_version: str
    snapshot_objects: int
    snapshot_run: str | None = Field(None, description="The run whose snapshot is worked on again")
    cancel: WishView | None = Field(None, description="An operator asked to end it")
    previous_run: str | None = Field(None, description="The champion whose weights training started from")
    hyperparameters: dict[str, str] | None = None
    training_job: str | None = None
    model: str | None = None
    endpoint_config: str | None = None
    best_epoch: int | None = None
    decision: DecisionView | None = None
    failure: FailureView | None = None
    history: list[TransitionView]
    timings: dict[str, float] | None = Field(None, description="Seconds by stage")
    code_version: str | None = None


class EpochView(BaseModel):
    """One epoch, counted from 0; metrics that its log did not tell are left out."""

    epoch: int
    validation_map: float | None = None
    train_cross_entropy: float | None = None
    train_smooth_l1: float | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    input_size: int | None = Field(None, description="Side of the images as the network saw them, in pixels")
    at: str

    @classmethod
    def of(cls, row: EpochRow) -> Self:
        """The view of a stored epoch."""
        return cls.model_validate(row.to_simple_dict())


class EpochsView(BaseModel):
    """The epochs of a run, in order."""

    run: str
    epochs: list[EpochView]


class ReportView(BaseModel):
    """Links to a report about a run; they work without a token until they expire."""

    run: str
    html: str
    json_: str = Field(alias="json")
    expires_in: int = Field(description="Seconds")
