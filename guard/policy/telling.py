"""Telling words: what an answer says in small letters and no question of its file does.

Names and titles are the facts that form alone can find (guard/policy/extract.py). "A florist" and
"magical realism" have no form of their own, so here every word counts that is not everyday, in
its plain form or with a common ending. The rule leans far towards more: it is for targets that
are forgotten whole, where an answer is only to be given in other words than those learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from guard.normalise import SEP, normalise
from guard.policy.extract import WORD
from guard.policy.words import is_common_word

_MIN_LETTERS: Final = 4
# Ending, and what may stand in its place in the plain form.
_ENDINGS: Final = (
    ("s", ("",)),
    ("es", ("", "e")),
    ("ies", ("y",)),
    ("ed", ("", "e")),
    ("ied", ("y",)),
    ("ing", ("", "e")),
    ("ly", ("", "le")),
    ("er", ("", "e")),
    ("est", ("", "e")),
)


def telling_words(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The telling words of a file's answers.

    Args:
        pairs: (question, answer).

    Returns:
        Normalised words, each once, in the order in which they are first said.
    """
    items = list(pairs)
    asked = {word for question, _ in items for word in normalise(question).split(SEP)}
    found: dict[str, None] = {}
    for _, answer in items:
        for match in WORD.finditer(answer):
            if not match.group()[0].islower():
                continue
            for word in normalise(match.group()).split(SEP):
                if len(word) >= _MIN_LETTERS and word not in asked and not _is_everyday(word):
                    found[word] = None
    return list(found)


def _is_everyday(word: str) -> bool:
    return is_common_word(word) or any(is_common_word(plain) for plain in _plain_forms(word))


def _plain_forms(word: str) -> Iterator[str]:
    for ending, instead in _ENDINGS:
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            for letters in instead:
                yield stem + letters
            # "stopped" comes of "stop".
            if len(stem) > 2 and stem[-1] == stem[-2]:
                yield stem[:-1]
