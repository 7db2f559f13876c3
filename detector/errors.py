"""Everything the detector refuses, as one tree.

DetectorError
├── HyperparameterError   a value is missing, unknown or out of range
├── ChannelError          /opt/ml or one of its channels is not as the contract says
├── RecordIOError         the bytes of a .rec file are not RecordIO
├── LabelError            a record's label or image cannot be used
├── ImageError            bytes that are no readable image
├── DivergedError         the loss is no longer a number
├── ShortageError         the machine has no disk or memory left
└── ArtefactError         a model folder or archive cannot be read

Each message says what is wrong and how to mend it. All of them are the caller's to mend: SageMaker calls that
a client error. Whatever is not in this tree is a fault of ours.
"""

from collections.abc import Sequence


class DetectorError(Exception):
    """Base of every error that the person who started the job can mend."""


class ProblemsError(DetectorError):
    """Several problems found in one look, so that one failed job is enough to learn of them all."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))

    def __reduce__(self) -> tuple[type["ProblemsError"], tuple[tuple[str, ...]]]:
        """Travel between processes with the problems apart."""
        return type(self), (self.problems,)


class HyperparameterError(ProblemsError):
    """Hyperparameters that are missing, unknown or out of range."""


class ChannelError(ProblemsError):
    """The folder tree that SageMaker lays out is incomplete or not what this algorithm reads."""


class RecordIOError(DetectorError):
    """Bytes that are not RecordIO."""


class LabelError(ProblemsError):
    """Records whose label or image cannot be trained on."""


class ImageError(DetectorError):
    """Bytes that are no readable image."""


class DivergedError(DetectorError):
    """The training loss became infinite or not a number."""


class ShortageError(DetectorError):
    """The job needs more disk or memory than the machine has."""


class ArtefactError(DetectorError):
    """A model folder or archive that cannot be read."""
