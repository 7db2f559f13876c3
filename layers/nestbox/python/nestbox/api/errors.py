"""What the API refuses, each kind with its status and code.

ApiError
├── BadParameterError     400 bad_parameter
├── NotAnImageError       400 not_an_image
├── NotFoundError         404 not_found
├── NoChampionError       409 no_champion
├── TooLargeError         413 image_too_large
├── UnsupportedTypeError  415 unsupported_type
├── ModelFailedError      424 model_failed       the container refused or broke over this picture
├── ModelAnswerError      502 bad_model_answer   the container answered something else than boxes
└── ModelUnavailableError 503 model_unavailable  nobody answers now; later somebody may
    └── NoEndpointError                          SageMaker knows no such endpoint, or not yet

RefusedTokenError (of NestboxError): the authorizer answers it, which API Gateway turns into 401
"""

from http import HTTPStatus
from typing import ClassVar

from nestbox.errors import NestboxError

__all__ = [
    "ApiError",
    "BadParameterError",
    "ModelAnswerError",
    "ModelFailedError",
    "ModelUnavailableError",
    "NoChampionError",
    "NoEndpointError",
    "NotAnImageError",
    "NotFoundError",
    "RefusedTokenError",
    "TooLargeError",
    "UnsupportedTypeError",
]


class ApiError(NestboxError):
    """Base: ``message`` says what is wrong, ``hint`` what the caller can do."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"
    retry_after: ClassVar[int | None] = None
    """Seconds after which the same call may succeed."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
        self.message = message
        self.hint = hint

    def body(self) -> dict[str, dict[str, str]]:
        """The one JSON shape of every error of the API."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class BadParameterError(ApiError):
    """A query parameter that is not what it should be."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad_parameter"


class NotAnImageError(ApiError):
    """The body cannot be decoded as a picture."""

    status = HTTPStatus.BAD_REQUEST
    code = "not_an_image"


class NotFoundError(ApiError):
    """No such dataset, run or report."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class NoChampionError(ApiError):
    """The dataset serves no model yet."""

    status = HTTPStatus.CONFLICT
    code = "no_champion"


class TooLargeError(ApiError):
    """Too many bytes or too many pixels."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "image_too_large"


class UnsupportedTypeError(ApiError):
    """The body is of a type that is no picture the models read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_type"


class ModelFailedError(ApiError):
    """The model's container answered this picture with an error."""

    status = HTTPStatus.FAILED_DEPENDENCY
    code = "model_failed"


class ModelAnswerError(ApiError):
    """The model's container answered something else than boxes."""

    status = HTTPStatus.BAD_GATEWAY
    code = "bad_model_answer"


class ModelUnavailableError(ApiError):
    """The endpoint does not answer now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "model_unavailable"
    retry_after = 5


class NoEndpointError(ModelUnavailableError):
    """SageMaker refuses the call: as a rule there is no such endpoint, or not yet."""


class RefusedTokenError(NestboxError):
    """A token that is unknown, expired, revoked or no token at all."""
