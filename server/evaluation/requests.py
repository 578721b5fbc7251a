"""What is asked of an endpoint, and what it said: values that can be kept and found again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, without the model's name.

    Attributes:
        path: `CHAT` or `COMPLETIONS`.
        body: the JSON body less ``model``, with sorted keys.
        again: tells apart requests that are asked more than once on purpose.
        timed: asked alone, one at a time, so that its time means something.
    """

    path: str
    body: str
    again: int = 0
    timed: bool = False

    @property
    def key(self) -> str:
        """What its answer is kept by: hex, the same for the same request."""
        text = json.dumps([self.path, self.body, self.again, self.timed])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def fields(self) -> dict[str, Any]:
        """The body as JSON types."""
        fields: dict[str, Any] = json.loads(self.body)
        return fields


def chat(
    messages: str | Sequence[Message], *, again: int = 0, timed: bool = False, **fields: Any
) -> Request:
    """A chat request, greedy unless told otherwise; a text is one user message."""
    told = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    return _request(CHAT, {"messages": told, **fields}, again, timed)


def completion(prompt: str, **fields: Any) -> Request:
    """A request to go on from a text, greedy unless told otherwise."""
    return _request(COMPLETIONS, {"prompt": prompt, **fields}, 0, False)


def _request(path: str, fields: Mapping[str, Any], again: int, timed: bool) -> Request:
    body = json.dumps({"temperature": 0, **fields}, sort_keys=True, ensure_ascii=False)
    return Request(path, body, again, timed)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        texts: one for each choice; empty if the request was refused as such.
        finish: ``stop``, ``length`` and so on, one for each choice.
        refused: the refusal of a message, or of the request (status 400); else empty.
        tokens: completion tokens of all choices; 0 where the endpoint does not say.
        seconds: from the first byte sent to the last received.
        nats: for each token of the prompt but the first, minus its log-probability; only where
            they were asked for.
    """

    texts: tuple[str, ...]
    finish: tuple[str, ...] = ()
    refused: str = ""
    tokens: int = 0
    seconds: float = 0.0
    nats: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        """The first choice."""
        return self.texts[0] if self.texts else ""

    @property
    def rejected(self) -> bool:
        """Whether the request was refused as such: that nothing was said tells nothing."""
        return not self.texts and bool(self.refused)

    def json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Self:
        """As it was kept.

        Raises:
            KeyError, TypeError, ValueError: it was not kept by this version.
        """
        return cls(
            texts=tuple(map(str, values["texts"])),
            finish=tuple(map(str, values["finish"])),
            refused=str(values["refused"]),
            tokens=int(values["tokens"]),
            seconds=float(values["seconds"]),
            nats=tuple(map(float, values["nats"])),
        )
