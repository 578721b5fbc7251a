"""The request of ``POST /v1/completions``: the fields that are let through."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, ValidationError

from server.errors import FieldError, FieldRefusedError
from server.wire.fields import (
    MAX_CHOICES,
    MAX_TOP_LOGPROBS,
    GuardedRequest,
    check_format,
    request_error,
    strip_refused,
)


class CompletionRequest(GuardedRequest):
    """A completion request that the guard can vouch for."""

    FORWARDED: ClassVar[frozenset[str]] = GuardedRequest.FORWARDED | {"prompt"}
    forces_tool: ClassVar[bool] = False

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=MAX_CHOICES)]
    logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None

    @property
    def wants_logprobs(self) -> bool:
        """Whether token probabilities were asked for."""
        return self.logprobs is not None

    @property
    def choices(self) -> int:
        """How many answers the request asks for."""
        prompts = 1 if isinstance(self.prompt, str) else len(self.prompt)
        return prompts * (self.n or 1)


_TOKENS: Final = "`prompt` holds token ids, which the guard cannot read; send the prompt as text"


def parse_completion(raw: dict[str, Any]) -> CompletionRequest:
    """Check a decoded body; what means nothing to the engine is taken out of ``raw``.

    Raises:
        RequestError: unknown, refused, missing or invalid fields, the first of them named.
    """
    strip_refused(raw)
    prompt = raw.get("prompt")
    if isinstance(prompt, list) and any(isinstance(item, int | list) for item in prompt):
        raise FieldRefusedError(_TOKENS, param="prompt")
    try:
        request = CompletionRequest.model_validate(raw)
    except ValidationError as error:
        raise request_error(error, raw) from error
    check_format(request)
    if request.choices > MAX_CHOICES:
        raise FieldError(
            f"`n` times the number of prompts is {request.choices}; at most {MAX_CHOICES} answers"
            " a request, so send several requests",
            param="n",
        )
    return request
