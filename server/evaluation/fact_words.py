"""What an answer tells in small letters: occupations, subjects, and themes that it lists.

Occupations and subjects are looked up in lists of ours (``words/``), so that "a florist" counts
and "a prolific writer" does not. Themes are the items of an enumeration after "themes of" and the
like, unless the answers about other authors are full of their words too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from guard.normalise import SEP
from server.evaluation.fact import Everyday, Fact, Kind, stem, stems, word_list

_WORD: Final = re.compile(r"[^\W_]+")
_TRIGGER: Final = re.compile(
    r"\b(?:(?:themes?|challenges|issues|struggles|tensions?|explorations?)"
    r"(?:[^.,;]{0,60}? (?:such as|like|includ(?:e|es|ing))|(?: \w+)? (?:of|between|relating to))"
    r"|explor(?:es?|ing)(?: themes of| the)?|emphasi[sz](?:es?|ing)(?: the)?|promot(?:es|ing))\b",
    re.IGNORECASE,
)
# An item ends where the next begins, or where the sentence goes on.
_AFTER: Final = (
    "and or in that which who through with within by as for at on where while is are into to from "
    "against regardless set faced effectively under over about when relating beyond via"
)
_ITEM: Final = re.compile(
    r"\s*,?\s*(?:(?:and|or|the|a|an|their|his|her|both)\s+)*"
    rf"(?P<item>(?!(?:{_AFTER.replace(' ', '|')})\b)[a-z][a-z'’\-]*(?: [a-z][a-z'’\-]*){{0,3}}?)"
    rf"(?=\s*(?:,|\.|;|$|\s(?:{_AFTER.replace(' ', '|')})\b))"
)
_MOST_ITEMS: Final = 8


@lru_cache(maxsize=1)
def _known_words() -> dict[tuple[str, ...], Kind]:
    """Kind by entry, each entry split into words, its last word without a plural's ending."""
    out: dict[tuple[str, ...], Kind] = {}
    for entry in word_list("subjects"):
        out[_singular(entry.split(SEP))] = "subject"
    for entry in word_list("occupations"):
        out[_singular(entry.split(SEP))] = "occupation"
    return out


def _singular(words: list[str]) -> tuple[str, ...]:
    last = words[-1]
    for ending, instead in (("ies", "y"), ("s", "")):
        if last.endswith(ending) and not last.endswith(("ss", "us", "is", "ics")) and len(last) > 4:
            last = last.removesuffix(ending) + instead
            break
    return (*words[:-1], last)


def small_facts_of(question: str, answer: str, everyday: Everyday) -> list[Fact]:
    """Facts in small letters that the question does not give: looked up, then enumerated."""
    known = frozenset(stems(question))
    return [
        *_looked_up(answer, known, everyday),
        *_enumerated(answer, known, everyday),
    ]


def _looked_up(answer: str, known: frozenset[str], everyday: Everyday) -> Iterator[Fact]:
    words = list(_WORD.finditer(answer))
    forms = [match[0].casefold() for match in words]
    entries = _known_words()
    longest = max(map(len, entries))
    index = 0
    while index < len(words):
        for length in range(min(longest, len(words) - index), 0, -1):
            kind = entries.get(_singular(forms[index : index + length]))
            parts = [stem(form) for form in forms[index : index + length]]
            if kind is None or words[index][0][0].isupper() or known.issuperset(parts):
                continue
            if kind == "subject" and length == 1 and forms[index] in everyday.words:
                continue
            yield Fact(answer[words[index].start() : words[index + length - 1].end()], kind)
            index += length - 1
            break
        index += 1


def _enumerated(answer: str, known: frozenset[str], everyday: Everyday) -> Iterator[Fact]:
    for trigger in _TRIGGER.finditer(answer):
        position = trigger.end()
        for _ in range(_MOST_ITEMS):
            found = _ITEM.match(answer, position)
            if found is None:
                break
            position = found.end()
            item = found["item"]
            if item.startswith("theme") or item.split()[0].endswith(("ing", "ly")):
                break  # the sentence goes on
            if any(len(s) > 3 and s not in known | everyday.stems for s in stems(item)):
                yield Fact(item, "theme")
