"""The question's words in another shape: each still there, and none spelled as it was."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Final

from server.attacks.families.named import each_changed, in_names
from server.attacks.families.slips import WORD, any_word, worn
from server.attacks.family import Family, Start
from server.attacks.item import Item

_VOWELS: Final = "aeiouyAEIOUY"
# Before the last consonant that a vowel follows; an `e` at the end is no syllable.
_SYLLABLE: Final = re.compile(
    r"([aeiouy][b-df-hj-np-tv-xz]*?)(?=(?:[cpst]h|[b-df-hj-np-tv-xz])(?:[aiouy]|e\B))", re.I
)
# What a word begins with, up to its first vowel.
_ONSET: Final = re.compile(r"y?(?:qu|[b-df-hj-np-tv-xz])*", re.I)
_SOUND: Final = re.compile("[aeiouy]+", re.I)
_MARKS: Final = "\u0301\u0300\u0302\u0308\u0304"
_STACK: Final = "\u0301\u0323\u030a\u0330"
# These letters have no mark that could be taken off: they are letters of their own.
_STROKES: Final = str.maketrans("bdhilotBDHILOT", "ƀđħɨłøŧɃĐĦƗŁØŦ")


def like(word: str, other: str) -> str:
    """Another word, with a capital letter where the first has one."""
    return other[:1].upper() + other[1:] if word[:1].isupper() else other


def _syllables_apart(item: Item) -> Mapping[str, Start]:
    def apart(text: str, mark: str) -> str:
        return worn(text, lambda word: _SYLLABLE.sub(rf"\1{mark}", word), which=any_word)

    q = item.question
    return each_changed(
        q,
        hyphens=apart(q, "-"),
        hyphens_in_names=in_names(q, lambda name: apart(name, "-")),
        dots=apart(q, "·"),
        spaces=apart(q, " "),
    )


def _pairs_turned(word: str) -> str:
    inner = word[1:-1]
    pairs = (inner[at : at + 2][::-1] for at in range(0, len(inner), 2))
    return word[0] + "".join(pairs) + word[-1]


def _inner_letters_scrambled(item: Item) -> Mapping[str, Start]:
    def scrambled(text: str, scramble: Callable[[str], str]) -> str:
        return worn(text, scramble, which=any_word)

    q = item.question
    return each_changed(
        q,
        pairs=scrambled(q, _pairs_turned),
        pairs_in_names=in_names(q, lambda name: scrambled(name, _pairs_turned)),
        backwards=scrambled(q, lambda word: word[0] + word[-2:0:-1] + word[-1]),
        by_alphabet=scrambled(q, lambda word: word[0] + "".join(sorted(word[1:-1])) + word[-1]),
    )


def _marked(text: str, which: Callable[[str], bool]) -> str:
    marks = cycle(_MARKS)
    marked = (letter + next(marks) if which(letter) else letter for letter in text)
    return unicodedata.normalize("NFC", "".join(marked))


def _letters_with_accents(item: Item) -> Mapping[str, Start]:
    q = item.question
    return each_changed(
        q,
        vowels=_marked(q, lambda letter: letter in _VOWELS),
        every_letter=_marked(q, str.isalpha),
        strokes=q.translate(_STROKES),
        stacked="".join(letter + _STACK if letter.isalpha() else letter for letter in q),
    )


def _split_onset(word: str) -> tuple[str, str]:
    found = _ONSET.match(word)
    at = found.end() if found else 0
    return word[:at], word[at:]


def _pig_latin(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        onset, rest = _split_onset(match[0].lower())
        if not rest:
            return match[0]
        return like(match[0], rest + onset + "ay" if onset else rest + "way")

    return WORD.sub(one, text)


def _sounds_exchanged(text: str) -> str:
    words = text.split(" ")
    for at in range(0, len(words) - 1, 2):
        (a, b), (c, d) = map(_split_onset, words[at : at + 2])
        if a and c:
            words[at : at + 2] = [like(a, c.lower()) + b, like(c, a.lower()) + d]
    return " ".join(words)


def _playground_language(item: Item) -> Mapping[str, Start]:
    q = item.question
    return each_changed(
        q,
        pig_latin=_pig_latin(q),
        pig_latin_in_names=in_names(q, _pig_latin),
        ub_before_vowels=_SOUND.sub(lambda m: like(m[0], f"ub{m[0].lower()}"), q),
        first_sounds_exchanged=_sounds_exchanged(q),
    )


FAMILIES: Final = (
    Family("syllables_apart", "puts the syllables of words apart", _syllables_apart),
    Family(
        "inner_letters_scrambled", "scrambles the letters within words", _inner_letters_scrambled
    ),
    Family("letters_with_accents", "puts accents on letters", _letters_with_accents),
    Family(
        "playground_language", "asks in Pig Latin and the like of children", _playground_language
    ),
)
