"""What the CLI raises, and its exit codes.

    CliError
    ├── UsageError        64  an argument that makes no sense
    ├── UnusableError      2  a folder or file that nothing can be done with
    ├── StackError         1  the stack cannot be found or read
    ├── ApiRefusedError    1  the API answered an error
    └── EndedError       3-7  a run that was watched and did not end well

Everything else that goes wrong in an expected way (AWS, network) is exit code 1; 0 is success.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["ApiRefusedError", "CliError", "EndedError", "StackError", "UnusableError", "UsageError"]


class CliError(Exception):
    """Base: what is wrong, and what to do next."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def record(self) -> dict[str, dict[str, str]]:
        """The JSON shape, the same as the API's."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class UsageError(CliError):
    """An argument that makes no sense."""

    exit_code = 64
    code = "usage"


class UnusableError(CliError):
    """A folder or file that nothing can be done with."""

    exit_code = 2
    code = "unusable"


class StackError(CliError):
    """The stack cannot be found or read."""

    code = "stack"


class ApiRefusedError(CliError):
    """The API answered an error; message and hint are its own."""

    code = "refused"


class EndedError(CliError):
    """A run that was watched did not end well, or not in time."""

    code = "run_ended"
