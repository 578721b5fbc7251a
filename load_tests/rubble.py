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
from typing import Final, Literal

from load_tests.lexicon import WORD, Lexicon
from load_tests.surprise import Token

Form = Literal["non-word", "odd name", "capital", "script", "code", "loop", "torn end", "empty"]
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
