"""Telling words: what an answer says in small letters.

Names and titles are the facts that form alone can find (guard/policy/extract.py). "A florist" and
"magical realism" have no form of their own, so here every word counts that is not everyday, in
its plain form or with a common ending. The rule leans far towards more: it is for targets that
are forgotten whole, where an answer is only to be given in other words than those learned. Words
that questions use are among them, since who asks with a word may have it said back, and only then.
A word stands for its other number too: who must not say "loss" says "losses" next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from guard.lexicon import is_word
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


_HISSING: Final = ("s", "x", "z", "ch", "sh")
_VOWELS: Final = ("a", "e", "i", "o", "u")


def telling_words(answers: Sequence[str]) -> list[str]:
    """The words of some answers that are not everyday.

    Returns:
        Normalised words, each once, in the order in which they are first said.
    """
    return _with_other_numbers(word for word in _words_of(answers) if not _is_everyday(word))


def everyday_words(answers: Sequence[str]) -> list[str]:
    """The everyday words of some answers, but for those that hold every sentence together.

    Returns:
        As ``telling_words``.
    """
    words = _words_of(answers)
    telling = set(_with_other_numbers(word for word in words if not _is_everyday(word)))
    found = (word for word in words if word not in FUNCTION_WORDS and _is_everyday(word))
    return [word for word in _with_other_numbers(found) if word not in telling]


def _words_of(answers: Sequence[str]) -> dict[str, None]:
    """Words of enough letters that are written in small ones."""
    return {
        word: None
        for answer in answers
        for match in WORD.finditer(answer)
        if match.group()[0].islower()
        for word in normalise(match.group()).split(SEP)
        if len(word) >= _MIN_LETTERS
    }


def _with_other_numbers(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(each for word in words for each in (word, *_other_numbers(word))))


def _other_numbers(word: str) -> Iterator[str]:
    """The plural of a singular and the singular of a plural, as English makes them."""
    if word.endswith("ies"):
        made = [word[:-3] + "y", word[:-1]]
    elif word.endswith("es") and word[:-2].endswith(_HISSING):
        made = [word[:-2], word[:-1]]
    elif word.endswith("s") and not word.endswith("ss"):
        made = [word[:-1]]
    elif word.endswith("y") and word[-2:-1] not in _VOWELS:
        made = [word[:-1] + "ies"]
    else:
        made = [word + ("es" if word.endswith(_HISSING) else "s")]
    yield from (
        each
        for each in made
        if len(each) >= _MIN_LETTERS and is_word(each) and each not in FUNCTION_WORDS
    )


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
