"""The errors of the proxy, all of them, and the one shape in which a client sees them.

``ApiError`` and its children are answers to a client: status, OpenAI's ``type`` and ``code``, the
request field at fault. ``SettingsError`` and ``CanaryError`` are for the operator. Nothing else is
meant to leave the request path; whatever does is answered as ``InternalError``, its text kept in
the proxy's own log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from guard.errors import GuardError

DECISION_HEADER: Final = "x-guard-decision"
# The same id where OpenAI's clients look for one.
REQUEST_ID_HEADER: Final = "x-request-id"


class SettingsError(GuardError):
    """A setting (environment variable or flag) that cannot be used."""


class CanaryError(GuardError):
    """The engine has not shown that it enforces plans."""


class ApiError(Exception):
    """An answer other than 200.

    Args:
        message: what is wrong and what to do, for the client.
        param: path of the request field at fault, such as ``messages[0].content``.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str = "internal_error"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, param: str | None = None) -> None:
        self.message = message
        self.param = param
        super().__init__(message)

    @property
    def http_status(self) -> int:
        """The status line's number."""
        return self.status

    def body(self) -> bytes:
        """The error as OpenAI's clients expect it."""
        return json.dumps(
            {
                "error": {
                    "message": self.message,
                    "type": self.type,
                    "param": self.param,
                    "code": self.code,
                }
            },
            ensure_ascii=False,
        ).encode()


class RequestError(ApiError):
    """The client's request cannot be served as it is."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class MalformedBodyError(RequestError):
    """The body is not one JSON object."""

    code = "malformed_json"


class FieldError(RequestError):
    """A field is missing, of a wrong type or out of bounds."""

    code = "invalid_value"


class UnknownFieldError(RequestError):
    """A field that is not on the allow-list."""

    code = "unknown_field"


class FieldRefusedError(RequestError):
    """A field that is known, and that could be used to get around the guard."""

    code = "field_not_allowed"


class UnauthorizedError(ApiError):
    """No API key, or one that no tenant has."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"
    headers = MappingProxyType({"www-authenticate": "Bearer"})


class AdminOffError(ApiError):
    """The admin API has no key, so nobody may use it."""

    status = 403
    type = "permission_error"
    code = "admin_disabled"


class UnknownPathError(RequestError):
    """No such path."""

    status = 404
    code = "unknown_url"


class ModelNotFoundError(RequestError):
    """The upstream serves no model of that name."""

    status = 404
    code = "model_not_found"


class TargetNotFoundError(RequestError):
    """There is no target of that id."""

    status = 404
    code = "target_not_found"


class ConflictError(RequestError):
    """A change of the policy that its folder, or the rest of the policy, does not allow."""

    status = 409
    code = "conflict"


class MethodNotAllowedError(RequestError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str = "") -> None:
        super().__init__(message)
        self.headers = {"allow": allow} if allow else {}


class BodyTimeoutError(RequestError):
    """The body did not arrive in time."""

    status = 408
    code = "body_timeout"
    headers = MappingProxyType({"connection": "close"})


class BodyTooLargeError(RequestError):
    """The body exceeds ``UNLEARN_GUARD_MAX_BODY_BYTES``."""

    status = 413
    code = "body_too_large"
    # What is left of the body is not read, so the connection cannot be used again.
    headers = MappingProxyType({"connection": "close"})


class UnsupportedMediaError(RequestError):
    """The body is not declared as JSON."""

    status = 415
    code = "unsupported_media_type"


class UpstreamRefusedError(RequestError):
    """The upstream answered 4xx; its status and message are passed on."""

    code = "upstream_refused"

    def __init__(
        self, message: str, *, status: int, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, param=param)
        self._status = status
        self.code = code or self.code

    @property
    def http_status(self) -> int:
        """The upstream's own status."""
        return self._status


class InternalError(ApiError):
    """A fault of the proxy; its particulars are in the proxy's log under the decision id."""

    def __init__(self) -> None:
        super().__init__(
            f"the proxy failed to answer; quote the `{DECISION_HEADER}` header to its operator"
        )


class GuardUnavailableError(ApiError):
    """A part of the guard is missing or failed, so nothing was forwarded (or no more of it)."""

    status = 503
    code = "guard_unavailable"
    headers = MappingProxyType({"retry-after": "5"})


class UpstreamUnavailableError(ApiError):
    """The upstream cannot be reached."""

    status = 503
    code = "upstream_unavailable"
    headers = MappingProxyType({"retry-after": "5"})


class UpstreamFailedError(ApiError):
    """The upstream answered 5xx, or not in the shape of its API."""

    status = 502
    code = "upstream_error"


class UpstreamAbandonedError(UpstreamFailedError):
    """vLLM ended an answer itself: it had no token left, or an inner fault; it does not say."""


class UpstreamTimeoutError(ApiError):
    """The upstream took longer than ``UNLEARN_GUARD_UPSTREAM_TIMEOUT_S``."""

    status = 504
    code = "upstream_timeout"
