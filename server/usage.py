"""The token counts of a streamed answer, added up over its choices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_WHOLE: Final = -1


class StreamUsage:
    """What the chunks of a stream said of their usage so far."""

    def __init__(self) -> None:
        self._latest: dict[int, dict[str, int]] = {}  # by choice, or of the whole answer

    def add(self, chunk: Mapping[str, Any], choices: Iterable[Mapping[str, Any]]) -> None:
        """Take in a chunk that has these choices; one without any speaks for the whole answer."""
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return
        indices = [choice["index"] for choice in choices]
        if indices:
            self._latest.update(dict.fromkeys(indices, usage))
        else:
            self._latest = {_WHOLE: usage}

    def total(self) -> dict[str, int]:
        """The usage of all choices together; each one's own counts the same prompt."""
        if _WHOLE in self._latest or not self._latest:
            return self._latest.get(_WHOLE, {})
        prompt = max(usage.get("prompt_tokens", 0) for usage in self._latest.values())
        completion = sum(usage.get("completion_tokens", 0) for usage in self._latest.values())
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
