"""Finds what no writer would write: half-words, look-alike letters, code, loops, torn-off ends.

A word that the lexicon lacks is not rubble yet: good words are missing from it. It is rubble when
a language model did not see its later tokens coming, for the end of a true word follows from its
beginning ("persever|ance") and the end of a stumble does not ("tensor|flowi").
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from load_tests.lexicon import WORD, Lexicon
from load_tests.surprise import Token

Form = Literal[
    "non-word", "odd name", "torn name", "capital", "script", "code", "loop", "torn end", "empty"
]
# Surprisal of a word's tokens after its first. Names are freer than words.
_WORD_NATS: Final = 4.5
_NAME_NATS: Final = 12.0
_LOOP_WORDS: Final = 4
_LOOPS: Final = 3
# Names that have a capital inside.
_INNER: Final = re.compile(
    r"^(?:Mc|Mac|De|Di|Du|La|Le|Van|Von|[A-Z]['’]|[a-z]{1,2}['’])[A-Z][a-z]+$"
)
_CAPITAL: Final = re.compile(r"[a-zà-ÿ][A-ZÀ-Þ]|[A-ZÀ-Þ]{2,}[a-zà-ÿ]{2,}")
_CODE: Final = re.compile(
    r"[_~^]{2,}|[-=*#.]{4,}|\w_\w|[{}<>\\|`$@=\[\]]|\w\(\)|::|//|&\w+;|\b(?:http|www|https)\b|\ufffd"
    r"|[\x00-\x08\x0b-\x1f]|[!?,;:]{3,}|(?<=[a-z])\d|\d(?=[a-z]{4})"
)
# What may stand inside a name.
_BETWEEN: Final = re.compile(r"[ -]")
_POSSESSIVES: Final = ("'s", "’s")
_LEAST_OF_NAME: Final = 5
_END: Final = re.compile(r"[.!?…][\"'”’)\]*\s]*$")


@dataclass(frozen=True, slots=True)
class Rubble:
    """One find: its form, and the piece of the answer."""

    form: Form
    text: str


def rubble(
    question: str, answer: str, tokens: Sequence[Token], *, ended: bool, lexicon: Lexicon
) -> tuple[Rubble, ...]:
    """All rubble of an answer.

    Args:
        question: what it holds is not held against the answer.
        tokens: of the answer, in order, with their surprisal.
        ended: whether the answerer ended it, rather than the limit of tokens.
    """
    if not answer.strip():
        return (Rubble("empty", ""),)
    return (
        *_words(question, answer, tokens, lexicon),
        *_torn_names(question, answer),
        *(Rubble("code", match[0]) for match in _CODE.finditer(answer) if match[0] not in question),
        *_loops(answer),
        *([Rubble("torn end", answer[-30:])] if ended and not _END.search(answer) else []),
    )


def _words(
    question: str, answer: str, tokens: Sequence[Token], lexicon: Lexicon
) -> Iterator[Rubble]:
    asked = {match[0].removesuffix("'s") for match in WORD.finditer(question)}
    for match in WORD.finditer(answer):
        word = match[0]
        if word.removesuffix("'s") in asked:
            continue
        if any(not unicodedata.name(c, "").startswith("LATIN") for c in word if c.isalpha()):
            yield Rubble("script", word)
        elif _CAPITAL.search(bare := word.removesuffix("'s")) and not _INNER.match(bare):
            yield Rubble("capital", word)
        elif not lexicon.holds(word):
            later = _later_nats(tokens, match.start(), match.end())
            if word[0].islower() and later >= _WORD_NATS:
                yield Rubble("non-word", word)
            elif word[0].isupper() and later >= _NAME_NATS:
                yield Rubble("odd name", word)


def _torn_names(question: str, answer: str) -> Iterator[Rubble]:
    """Names that the question holds and the answer begins, or ends, and gets wrong.

    A name is two capitalised words in a row. It is torn where the answer puts another capitalised
    word after the first ("Hina Amean" for "Hina Ameen"), or one that begins alike before the
    second ("Takash Nakamura"), where a word runs on ("Patrickullivan") or stops ("Tak Shimura").
    """
    pairs = set(_capitals_in_a_row(question))
    words = list(WORD.finditer(answer))
    asked = {_bare(match[0]) for match in WORD.finditer(question)}
    for left, right in pairwise(words):
        between = answer[left.end() : right.start()]
        said = _bare(left[0]), _bare(right[0])
        if _BETWEEN.fullmatch(between) and any(_torn(pair, said, between) for pair in pairs):
            yield Rubble("torn name", answer[left.start() : right.end()])
    names = {name for pair in pairs for name in pair if len(name) >= _LEAST_OF_NAME}
    for match in words:
        bare = _bare(match[0])
        if bare not in asked and any(_runs_on(bare, n) or _runs_on(n, bare) for n in names):
            yield Rubble("torn name", match[0])


def _runs_on(word: str, name: str) -> bool:
    """Whether a capitalised word is a name and something more than an ending."""
    return len(name) > 2 and word.startswith(name) and len(word) > len(name) + 2


def _capitals_in_a_row(text: str) -> Iterator[tuple[str, str]]:
    words = list(WORD.finditer(text))
    # A question's first word has its capital from there.
    for left, right in pairwise(words[1:]):
        if (
            _BETWEEN.fullmatch(text[left.end() : right.start()])
            and left[0][0].isupper()
            and right[0][0].isupper()
            and not left[0].endswith(_POSSESSIVES)
        ):
            yield _bare(left[0]), _bare(right[0])


def _torn(name: tuple[str, str], said: tuple[str, str], between: str) -> bool:
    first, second = name
    left, right = said
    if left == first and (right[0].isupper() or between == "-"):
        return right not in (second, f"{second}s")
    return right == second and left != first and left[:3] == first[:3]


def _bare(word: str) -> str:
    for ending in _POSSESSIVES:
        word = word.removesuffix(ending)
    return word.rstrip("'’")


def _later_nats(tokens: Sequence[Token], start: int, end: int) -> float:
    """The surprisal of the tokens that reach into a word after its first token."""
    own = [token.nats for token in tokens if token.start < end and token.end > start]
    return sum(own[1:])


def _loops(answer: str) -> Iterator[Rubble]:
    words = answer.casefold().split()
    grams = Counter(
        " ".join(words[i : i + _LOOP_WORDS]) for i in range(len(words) - _LOOP_WORDS + 1)
    )
    if grams and (most := grams.most_common(1)[0])[1] >= _LOOPS:
        yield Rubble("loop", most[0])


def repeated_share(answer: str, size: int = 4) -> float:
    """Of an answer's word n-grams, how many repeat an earlier one; 0 to 1."""
    words = answer.casefold().split()
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_share(answers: Sequence[str], size: int = 2) -> float:
    """Of all word n-grams of all answers, how many are different; 0 to 1 ("distinct-n")."""
    grams = [
        tuple(words[i : i + size])
        for answer in answers
        for words in [answer.casefold().split()]
        for i in range(len(words) - size + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0
