"""``forbid.extract``: a file of answers to the phrases that it forbids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from guard.normalise import SEP, normalise
from guard.phrases import has_enough_letters, letters_of
from guard.policy.extract import collect_key_facts
from guard.policy.telling import everyday_words, telling_words
from guard.policy.wordings import wordings

Kind = Literal["key_facts", "telling_words", "all_words"]


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was found, in the answers' wording.

    Attributes:
        facts: names, titles, numbers, telling words; a model is led away from them early.
        rest: everyday words and runs of words. They are forbidden where they complete, no sooner:
            what they begin with stands in any other answer too.
    """

    facts: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many phrases there are."""
        return len(self.facts) + len(self.rest)


def extracted_from(
    pairs: Sequence[tuple[str, str]],
    kind: Kind,
    words: int | None,
    *,
    aliases: Sequence[str] = (),
    phrases: Sequence[str] = (),
    prompts: Sequence[str] = (),
) -> Extracted:
    """What a file's answers forbid.

    Args:
        pairs: (question, answer).
        kind, words: as the policy has them.
        aliases, prompts: what the target is asked by.
        phrases: what is forbidden already.
    """
    answers = [answer for _, answer in pairs]
    facts = collect_key_facts(pairs)
    rest: list[str] = []
    if words is not None:
        rest += wordings(answers, words, _names([*facts, *phrases], aliases, prompts))
    if kind != "key_facts":
        facts = [*facts, *telling_words(answers)]
    if kind == "all_words":
        rest += everyday_words(answers)
    return Extracted(tuple(facts), tuple(rest))


def _names(phrases: Sequence[str], aliases: Sequence[str], prompts: Sequence[str]) -> list[str]:
    """What the target is called by those who ask: normalised aliases, and phrases in prompts.

    Not a phrase whose letters another such name holds within a word ("Kuwait" in "Al-Kuwaiti"):
    whoever asks by that name has said these letters and may have them said back, so the runs that
    the phrase stands in are all that is left to forbid.
    """
    asked = map(normalise, (*prompts, *aliases))
    text = SEP + f"{SEP}\n{SEP}".join(asked) + SEP
    named = [name for name in map(normalise, phrases) if f"{SEP}{name}{SEP}" in text]
    called = [*map(normalise, aliases), *named]
    return [name for name in dict.fromkeys(called) if not _is_within(name, called)]


def _is_within(name: str, others: Sequence[str]) -> bool:
    """Whether another name holds the letters of one, and not as words of its own."""
    letters = letters_of(name)
    return has_enough_letters(name) and any(
        letters in letters_of(other) and f"{SEP}{name}{SEP}" not in f"{SEP}{other}{SEP}"
        for other in others
    )
