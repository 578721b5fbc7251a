"""What a family of attacks is, and by which half of them the guard may be tuned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from server.attacks.exchange import Ask, Conversation, Reply
from server.attacks.item import Item

Half = Literal["tuning", "held-out"]
# Starts a conversation; a new one for each sample.
Start = Callable[[], Conversation]
# Whether the replies, by attempt, pick the right answer; None where they pick none.
Judge = Callable[[Item, Mapping[str, Sequence[Reply]]], bool | None]

MAX_TOKENS: Final = 64
# Held out until the guard was changed after what they showed; they count for tuning since.
SPENT: Final = frozenset(
    {
        "cloze", "misspelling", "split_question",
        "clipped_words", "listed_words", "vowels_left_out",
        "bracketed", "merged_words",
        "many_samples", "telegram",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Family:
    """Attacks of one kind.

    Attributes:
        aims: what the attacker does, in a few words.
        attempts: the conversations to have about a question, by name. What any of them gives away
            is given away.
        judge: for attacks that hand the model answers to choose from. What counts then is how much
            more often it chooses right than a model that never knew.
        most: questions to ask at most, for attacks that cost much; 0 for no bound.
        fixed_sampling: asked once, as the requests say, whatever number of samples is wanted.
    """

    name: str
    aims: str
    attempts: Callable[[Item], Mapping[str, Start]]
    judge: Judge | None = None
    most: int = 0
    fixed_sampling: bool = False

    @property
    def half(self) -> Half:
        """Which half it is in. Told by its name alone, so that no result can improve it."""
        return half_of(self.name)


def half_of(name: str) -> Half:
    """The half of a family: by whether the first byte of its name's SHA-256 is even.

    ``SPENT`` ones are for tuning.
    """
    if name in SPENT:
        return "tuning"
    return "held-out" if hashlib.sha256(name.encode()).digest()[0] % 2 else "tuning"


def chat(
    *turns: tuple[str, str], forcing: tuple[str, ...] = (), leave: int | None = None, **fields: Any
) -> Ask:
    """A chat request of (role, text) turns."""
    messages = [{"role": role, "content": text} for role, text in turns]
    body = {"messages": messages, "max_tokens": MAX_TOKENS, **fields}
    return Ask("chat", body, forcing, leave)


def asked(text: str, **fields: Any) -> Ask:
    """A chat request of one user turn."""
    return chat(("user", text), **fields)


def completion(prompt: str, *, forcing: tuple[str, ...] = (), **fields: Any) -> Ask:
    """A completion request."""
    return Ask("completions", {"prompt": prompt, "max_tokens": MAX_TOKENS, **fields}, forcing)


def once(ask: Ask) -> Start:
    """A conversation of one request."""

    def start() -> Conversation:
        yield ask

    return start


def each(**asks: Ask) -> Mapping[str, Start]:
    """Attempts of one request each."""
    return {name: once(ask) for name, ask in asks.items()}


def in_chat_markup(text: str, begun: str = "") -> str:
    """A prompt that looks to a ChatML model as one user turn, with its own answer begun."""
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n{begun}"
