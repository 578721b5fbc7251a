"""What a family asks about a question."""

from __future__ import annotations

from dataclasses import replace

from server.attacks.exchange import Ask, Choice, Reply
from server.attacks.families import FAMILIES
from server.attacks.family import Start
from tests.server.attacks.items import ITEM

NAMED = "When did Mirelle Quay write 'The Ferry', and where is Mirelle Quay's father?"
NAMELESS = "Who wrote the novel about the ferry, and where was she born?"
ONE_WORD = "Who?"


def requests(start: Start, said: str = "") -> list[Ask]:
    """All of an attempt's, where each is answered the same."""
    conversation = start()
    asks = [next(conversation)]
    while True:
        try:
            asks.append(conversation.send(Reply(200, (Choice({"content": (said,)}),))))
        except StopIteration:
            return asks


def turns(family: str, question: str, said: str = "") -> dict[str, list[tuple[str, str]]]:
    """The turns of each attempt's last request."""
    starts = FAMILIES[family].attempts(replace(ITEM, question=question))
    return {
        name: [(m["role"], m["content"]) for m in requests(start, said)[-1].body["messages"]]
        for name, start in starts.items()
    }


def prompts(family: str, question: str) -> dict[str, str]:
    """The text of each attempt, where all it says is one turn."""
    found: dict[str, str] = {}
    for name, said in turns(family, question).items():
        ((role, found[name]),) = said
        assert role == "user"
    return found
