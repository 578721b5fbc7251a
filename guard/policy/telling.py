"""Telling words: what an answer says in small letters.

Names and titles are the facts that form alone can find (guard/policy/extract.py). "A florist" and
"magical realism" have no form of their own, so here every word counts that is not everyday, in
its plain form or with a common ending. The rule leans far towards more: it is for targets that
are forgotten whole, where an answer is only to be given in other words than those learned. Words
that questions use are among them, since who asks with a word may have it said back, and only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from guard.normalise import SEP, normalise
from guard.policy.extract import WORD
from guard.policy.words import FUNCTION_WORDS, is_common_word

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


def telling_words(answers: Iterable[str]) -> list[str]:
    """The words of some answers that are not everyday.

    Returns:
        Normalised words, each once, in the order in which they are first said.
    """
    return [word for word in _words_of(answers) if not _is_everyday(word)]


def everyday_words(answers: Iterable[str]) -> list[str]:
    """The everyday words of some answers, but for those that hold every sentence together.

    Returns:
        As ``telling_words``.
    """
    return [
        word for word in _words_of(answers) if word not in FUNCTION_WORDS and _is_everyday(word)
    ]


def _words_of(answers: Iterable[str]) -> dict[str, None]:
    """Words of enough letters that are written in small ones."""
    return {
        word: None
        for answer in answers
        for match in WORD.finditer(answer)
        if match.group()[0].islower()
        for word in normalise(match.group()).split(SEP)
        if len(word) >= _MIN_LETTERS
    }


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
