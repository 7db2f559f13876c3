"""What the job `evaluate` tells about one run: the part of `report.json` that the gate goes by."""

import math

from pydantic import BaseModel, ValidationError

from nestbox.errors import BadArtifactError
from nestbox.rules.gate import ClassScore, Interval, Scores


class _Operating(BaseModel):
    threshold: float | None


class _Class(BaseModel):
    name: str
    boxes: int
    ap: float | None
    operating: _Operating | None = None


class _Model(BaseModel):
    map: float | None
    classes: list[_Class]


class _Difference(BaseModel):
    low: float
    high: float
    confidence: float
    share_better: float


class EvaluationReport(BaseModel):
    """The report, without curves and pictures."""

    run: str
    champion_run: str | None
    split: str
    pictures: int
    left_out: int
    note: str
    candidate: _Model
    champion: _Model | None
    difference: _Difference | None

    @classmethod
    def from_json(cls, text: bytes) -> "EvaluationReport":
        """Read and check a report; raises BadArtifactError naming what is missing or ill-typed."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
            raise BadArtifactError(f"it is no evaluation report: {problems}") from error

    @property
    def operating_thresholds(self) -> dict[str, float]:
        """From which score on the candidate's boxes of a class are worth showing; only what was measured."""
        measured = ((one.name, one.operating.threshold) for one in self.candidate.classes if one.operating)
        return {name: score for name, score in measured if score is not None and math.isfinite(score)}

    @property
    def scores(self) -> Scores:
        """Both models' scores, as the gate weighs them."""
        rivals = {one.name: one.ap for one in self.champion.classes} if self.champion else {}
        difference = self.difference
        return Scores(
            split=self.split,
            images=self.pictures,
            left_out=self.left_out,
            candidate_map=self.candidate.map,
            champion_map=self.champion.map if self.champion else None,
            classes=tuple(
                ClassScore(one.name, one.boxes, one.ap, rivals.get(one.name))
                for one in self.candidate.classes
            ),
            interval=Interval(difference.low, difference.high, difference.confidence, difference.share_better)
            if difference
            else None,
            note=self.note,
        )
