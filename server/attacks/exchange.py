"""One request of an attack, and everything that came back for it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from server.wire.answers import Api


@dataclass(frozen=True, slots=True)
class Ask:
    """A request.

    Attributes:
        body: its fields, without the model's name.
        forcing: fields to leave out, should the server refuse them, for a second try.
        leave_after: events of a stream after which the client goes away; None to stay.
    """

    api: Api
    body: Mapping[str, Any]
    forcing: tuple[str, ...] = ()
    leave_after: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an answer.

    Attributes:
        channels: by name, the pieces that came, one where nothing streamed. Tool-call arguments
            are ``tool_calls``, all of them joined.
        top: of each token that has probabilities, the likeliest, best first: (token, log).
        prompt: log probability of each token of the prompt, where it came.
    """

    channels: Mapping[str, tuple[str, ...]]
    finish: str = ""
    top: tuple[tuple[tuple[str, float], ...], ...] = ()
    prompt: tuple[float, ...] = ()

    def text(self, channel: str) -> str:
        """A channel whole; empty where nothing came."""
        return "".join(self.channels.get(channel, ()))

    @property
    def said(self) -> str:
        """The answer proper."""
        return self.text("content") or self.text("text")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        refused: fields that the server would not take; what follows came without them.
        error: the server's message, where it did not answer.
    """

    status: int
    choices: tuple[Choice, ...] = ()
    refused: tuple[str, ...] = ()
    error: str = ""

    @property
    def said(self) -> str:
        """The first choice's answer; empty where there is none."""
        return self.choices[0].said if self.choices else ""

    @property
    def too_long(self) -> bool:
        """Whether the model's context is too short for the request."""
        return self.status == 400 and "context length" in self.error.lower()

    @property
    def failed(self) -> bool:
        """Whether nothing can be told from it: neither a whole answer nor a rejected request."""
        return self.status not in (200, 400, 413, 422) or (self.status == 200 and self.error != "")

    def json(self) -> dict[str, Any]:
        """The record in JSON types."""
        return asdict(self)

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Reply:
        """What `json` made."""
        return cls(
            value["status"],
            tuple(
                Choice(
                    {name: tuple(pieces) for name, pieces in choice["channels"].items()},
                    choice["finish"],
                    tuple(tuple((t, p) for t, p in each) for each in choice["top"]),
                    tuple(choice["prompt"]),
                )
                for choice in value["choices"]
            ),
            tuple(value["refused"]),
            value["error"],
        )


# Yields requests and is sent what came back for each; over when the attacker has nothing to add.
Conversation = Generator[Ask, Reply, None]
