"""The tree of errors that a caller may see, and the one body that tells them.

    OcelliError                       status  code
    ├── InvalidRequest                 400    invalid_request · invalid_json · unknown_field · ...
    │   └── InvalidImage               400    invalid_image · image_truncated
    ├── Unauthorized                   401    missing_api_key · invalid_api_key
    ├── Forbidden                      403    insufficient_scope
    ├── NotFound                       404    not_found
    │   └── ModelNotFound              404    model_not_found
    ├── MethodNotAllowed               405    method_not_allowed
    ├── RequestTimeout                 408    request_timeout
    ├── Conflict                       409    conflict · weights_pinned
    ├── SpaceMismatch                  409    embedding_space_mismatch
    ├── TooLarge                       413    body_too_large · image_too_large
    ├── UnsupportedMedia               415    unsupported_media_type
    ├── RateLimited                    429    rate_limited
    ├── HeadersTooLarge                431    headers_too_large
    ├── BadUpstream                    502    upstream_failed
    ├── Unavailable                    503    overloaded · draining · not_ready · upstream_unavailable
    ├── DeadlineExceeded               504    deadline_exceeded
    └── OutOfMemory                    507    out_of_memory

Every sentence is our own: the text of a foreign exception never reaches a caller, because it may name
addresses, paths or versions. The body satisfies RFC 9457 and the stock OpenAI client at once.
"""

from typing import Any, ClassVar


class OcelliError(Exception):
    """A failure with a status, a fixed code and a sentence that says what to change."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "server_error"
    default_code: ClassVar[str] = "internal_error"
    default_message: ClassVar[str] = "The server failed on this request. The request id helps to find out why."

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`param` names the guilty field; `retry_after` is in seconds and becomes the `Retry-After` header."""
        self.message = message or self.default_message
        self.code = code or self.default_code
        self.param = param
        self.retry_after = retry_after
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.code, self.param, self.retry_after))

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later, which `x-should-retry` tells a client."""
        return self.status in {408, 429, 502, 503, 504}


def _rebuild(
    kind: type[OcelliError], message: str, code: str, param: str | None, retry_after: float | None
) -> OcelliError:
    return kind(message, code=code, param=param, retry_after=retry_after)


class InvalidRequest(OcelliError):
    """The request alone is wrong; sending it again will not help."""

    status = 400
    kind = "invalid_request_error"
    default_code = "invalid_request"
    default_message = "The request is not valid."


class InvalidImage(InvalidRequest):
    """The bytes are a picture of a known kind that cannot be decoded."""

    default_code = "invalid_image"
    default_message = "The picture cannot be decoded."


class Unauthorized(OcelliError):
    """No key, or not a key of ours."""

    status = 401
    kind = "authentication_error"
    default_code = "invalid_api_key"
    default_message = "This API key is not valid. Send a valid one as 'Authorization: Bearer <key>'."


class Forbidden(OcelliError):
    """The key is ours and does not carry the scope that the route needs."""

    status = 403
    kind = "permission_error"
    default_code = "insufficient_scope"
    default_message = "This API key may not use this route."


class NotFound(OcelliError):
    """No such route or resource."""

    status = 404
    kind = "not_found_error"
    default_code = "not_found"
    default_message = "There is nothing at this path."


class ModelNotFound(NotFound):
    """No model of that name is served here."""

    default_code = "model_not_found"


class MethodNotAllowed(OcelliError):
    """The path exists and does not take this method."""

    status = 405
    kind = "invalid_request_error"
    default_code = "method_not_allowed"
    default_message = "This path does not take this method."


class RequestTimeout(OcelliError):
    """The client sent its request too slowly."""

    status = 408
    kind = "invalid_request_error"
    default_code = "request_timeout"
    default_message = "The request did not arrive in time. Send it again, faster or smaller."


class Conflict(OcelliError):
    """The request is right and does not fit what is going on; look at the state and decide anew."""

    status = 409
    kind = "invalid_request_error"
    default_code = "conflict"
    default_message = "This does not fit the state of the service. Look at it again."


class SpaceMismatch(OcelliError):
    """The caller's vectors live in another embedding space than the model that serves."""

    status = 409
    kind = "invalid_request_error"
    default_code = "embedding_space_mismatch"
    default_message = "The model answers in another embedding space than the one that the request demands."


class TooLarge(OcelliError):
    """The body, or the picture in it, is over a limit."""

    status = 413
    kind = "invalid_request_error"
    default_code = "body_too_large"
    default_message = "The request body is too large."


class UnsupportedMedia(OcelliError):
    """The body is not of a kind that this route reads."""

    status = 415
    kind = "invalid_request_error"
    default_code = "unsupported_media_type"
    default_message = "This is not a picture of a supported format. Send JPEG, PNG, WebP, GIF, BMP or TIFF."


class RateLimited(OcelliError):
    """The caller is over its own quota."""

    status = 429
    kind = "rate_limit_error"
    default_code = "rate_limited"
    default_message = "This API key is over its rate limit. Retry after the time in Retry-After."


class HeadersTooLarge(OcelliError):
    """Too many header fields, or too long ones."""

    status = 431
    kind = "invalid_request_error"
    default_code = "headers_too_large"
    default_message = "The request headers are too large: at most 64 fields and 16 KB in all."


class BadUpstream(OcelliError):
    """A service behind the gateway broke off before it answered."""

    status = 502
    default_code = "upstream_failed"
    default_message = "The service behind the gateway broke off before it answered. Retry the request."


class Unavailable(OcelliError):
    """The service cannot take this request now; nothing of it was run."""

    status = 503
    kind = "overloaded_error"
    default_code = "overloaded"
    default_message = "The service is overloaded. Retry after the time in Retry-After."


class DeadlineExceeded(OcelliError):
    """The answer would have come, or came, after the deadline of the request."""

    status = 504
    kind = "timeout_error"
    default_code = "deadline_exceeded"
    default_message = "The request was not answered before its deadline."


class OutOfMemory(OcelliError):
    """This one item does not fit into the device's memory, even alone."""

    status = 507
    default_code = "out_of_memory"
    default_message = "This item alone needs more device memory than there is. Send a smaller one."


def error_body(error: OcelliError, *, title: str, instance: str, request_id: str) -> dict[str, Any]:
    """The body of an error answer: RFC 9457 at the top level and OpenAI's `error` object inside."""
    return {
        "type": f"urn:ocelli:error:{error.code}",
        "title": title,
        "status": error.status,
        "detail": error.message,
        "instance": instance,
        "request_id": request_id,
        "error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code},
    }
