"""Everything Nestbox itself raises.

    NestboxError
    ├── BadNameError        a dataset name or run id that is none
    ├── BadEventError       a queue message that says neither which run nor which dataset to look at
    ├── SettingsError       an environment variable of a function is missing or ill-typed
    ├── NoSuchRunError      a run id that is in no table
    ├── NoSuchDatasetError  a dataset that is in no table
    ├── LostRaceError       somebody else wrote first: read again, or leave it to them
    ├── BadArtifactError    an object in the artifacts bucket is missing or not what its writer promised
    ├── UntrainableError    nestbox.yaml asks for what the detector of this stack cannot train
    ├── AwsRefusedError     AWS refused what a step asked for, and asking again would not help
    └── ActionRefusedError  an operator asked for what cannot be done as things stand

Errors of AWS that may pass (throttling, timeouts) stay botocore's: the queue delivers the message again.
"""

__all__ = [
    "ActionRefusedError",
    "AwsRefusedError",
    "BadArtifactError",
    "BadEventError",
    "BadNameError",
    "LostRaceError",
    "NestboxError",
    "NoSuchDatasetError",
    "NoSuchRunError",
    "SettingsError",
    "UntrainableError",
]


class NestboxError(Exception):
    """Base of all errors of the nestbox package; its text says what is wrong and how to mend it."""


class BadNameError(NestboxError):
    """A dataset name or run id that is none."""


class BadEventError(NestboxError):
    """A queue message that says neither which run nor which dataset to look at."""


class SettingsError(NestboxError):
    """An environment variable of a function is missing or ill-typed."""


class NoSuchRunError(NestboxError):
    """A run id that is in no table."""


class NoSuchDatasetError(NestboxError):
    """A dataset that is in no table."""


class LostRaceError(NestboxError):
    """Somebody else wrote first: read again, or leave it to them."""


class BadArtifactError(NestboxError):
    """An object in the artifacts bucket is missing or not what its writer promised."""


class UntrainableError(NestboxError):
    """What nestbox.yaml asks for cannot be trained by the detector of this stack."""


class AwsRefusedError(NestboxError):
    """AWS refused what a step asked for, and asking again would not help."""


class ActionRefusedError(NestboxError):
    """An operator asked for what cannot be done as things stand; ``hint`` says what can."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
        self.code = code
        self.message = message
        self.hint = hint
