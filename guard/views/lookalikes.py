"""Letters that look like Latin ones, and characters that cannot be seen.

Two readings. The *plain* one drops what is invisible (zero-width characters, soft hyphens, tags)
and takes compatibility forms apart (NFKC: full-width, mathematical, circled letters); it loses
nothing that a reader sees, and everything else is looked for in it. The *look-alike* one reads
letters of other scripts as the Latin letters that they can be mistaken for.

The table: Latin letters with strokes, hooks and tails, small capitals and enclosed letters by the
names that ``unicodedata`` gives them; Cyrillic, Greek, Armenian, Cherokee and a few others by hand,
chosen by how they look in common fonts, after the idea of Unicode's confusables (UTS 39); their
accented forms by ``unicodedata`` again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.context import Span
from guard.folding import Folding
from guard.lexicon import is_word
from guard.normalise import SEP, fold
from guard.views.readable import reads_as_text, sentences_with
from guard.views.view import Unit, View, codes_of

PLAIN: Final = "unicode"
LOOKALIKES: Final = "homoglyphs"

_BY_HAND: Final = (
    # Cyrillic
    "АA ВB ЕE ЅS ІI ЈJ КK МM НH ОO РP СC ТT УY ХX ҮY ҺH ӀI ԌG ԚQ ԜW ԁd аa еe ѕs іi јj кk мm оo рp"
    " сc тt уy хx үy һh ӏl ԛq ԝw вb нh пn гr ѵv ѴV бb ьb пn ѡw ԑe єe ЄE"
    # Greek
    " ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX αa βb γy εe ηn ιi κk νv οo ρp σo τt υu χx ωw ςc"
    " ϲc ϹC ϳj ͿJ Ϝf ϒY"
    # Armenian and Cherokee
    " ՍU ՏS Օo օo ոn սu հh ցg զq ԼL ᎪA ᏴB ᏟC ᎠD ᎬE ᏀG ᎻH ᎫJ ᏦK ᏞL ᎷM ᏢP ᏒR ᏚS ᎢT ᏙV ᎳW ᏃZ ᎥI"
    # Others that look like one
    " ∂d ∪U ∨v ℮e ⅼl ₵C ₭K ₮T ₦N ꓐB ꓑP ꓓD ꓔT ꓖG ꓗK ꓙJ ꓚC ꓜZ ꓝF ꓟM ꓠN ꓡL ꓢS ꓣR ꓦV ꓧH ꓪW ꓫX ꓬY ꓮA ꓰE"
    " ꓲI ꓳO ꓴU ıi ȷj ſs ƅb ƽs ɑa ɡg ɩi ʋu ɪi ʟl ᴄc ᴏo ᴠv ᴡw ᴢz"
)
_NAMED: Final = (
    (0x00C0, 0x02AF),
    (0x1D00, 0x1DBF),
    (0x1E00, 0x1EFF),
    (0x2C60, 0x2C7F),
    (0xA720, 0xA7FF),
    (0xAB30, 0xAB6F),
    (0x1F110, 0x1F1FF),
)
_NAME: Final = re.compile(
    r"(?:LATIN (?P<size>SMALL|CAPITAL) LETTER (?:SCRIPT )?"
    r"|LATIN LETTER (?P<form>SMALL) CAPITAL "
    r"|(?:NEGATIVE )?(?:CIRCLED|SQUARED|PARENTHESIZED) LATIN CAPITAL LETTER "
    r"|REGIONAL INDICATOR SYMBOL LETTER )(?P<letter>[A-Z])(?: WITH .*)?"
)
_ACCENTED: Final = ((0x0370, 0x052F), (0x1F00, 0x1FFF))
_LATIN_NEAR: Final = re.compile(r"[A-Za-z]")
_WIDE: Final = re.compile(r"[^\x00-\x7f]")
_WORD: Final = re.compile(r"[^\W\d_]+")
_MIXED_LETTERS: Final = 3
# Ligatures of whole phrases (one has 18 letters) stay: they would only make long what is short.
_MOST_LETTERS: Final = 3


@cache
def confusables() -> dict[int, int]:
    """Code points that look like a Latin letter, and that letter; made once."""
    table: dict[int, int] = {}
    for low, high in _NAMED:
        for code in range(low, high + 1):
            match = _NAME.fullmatch(unicodedata.name(chr(code), ""))
            # Normalisation takes the others apart already.
            if match and unicodedata.is_normalized("NFD", chr(code)):
                letter = match["letter"]
                table[code] = ord(
                    letter.lower() if "SMALL" in match.group("size", "form") else letter
                )
    by_hand = {pair[0]: pair[1] for pair in _BY_HAND.split() if len(pair) == 2}
    table |= {ord(char): ord(latin) for char, latin in by_hand.items() if latin.isascii()}
    for low, high in _ACCENTED:
        for code in range(low, high + 1):
            base = unicodedata.normalize("NFD", chr(code))[0]
            # An i with a breve is another letter, and none that looks like Latin.
            if base in by_hand and code not in table and chr(code) not in "Ййїґ":
                table[code] = ord(by_hand[base])
    return table


def _plain(char: str) -> str:
    """One character as it is read: nothing if it cannot be seen."""
    if not fold(char) and unicodedata.category(char) in ("Cf", "Lo"):
        return ""
    if fold(char) == SEP and not char.isspace():
        return char  # punctuation stays: `…` as three dots would end a sentence
    read = unicodedata.normalize("NFKC", char)
    return read if len(read) <= _MOST_LETTERS else char


_PLAIN: Final = Folding(_plain)


def plain(view: View) -> View:
    """The plain reading; the view itself where that is all there is."""
    if view.text.isascii() or view.text.translate(_PLAIN) == view.text:
        return view
    units = [
        Unit(match.start(), match.end(), read)
        for match in _WIDE.finditer(view.text)
        if (read := _PLAIN[ord(match[0])]) != match[0]
    ]
    made, new = view.replaced(units, PLAIN)
    # Where something was dropped from among Latin letters, the letter after it counts as new.
    hidden = new & (codes_of(made.text) < 0x80)
    shift = 0
    for unit in units:
        place = unit.start + shift
        shift += len(unit.text) - 1
        if not unit.text and _LATIN_NEAR.fullmatch(made.text[place : place + 1]):
            hidden[place] = bool(_LATIN_NEAR.fullmatch(made.text[place - 1 : place]))
    return made.reading(_worth(made.text, hidden))


def as_latin(view: View) -> Iterator[View]:
    """The look-alike reading, if there is anything to read so.

    A sentence is worth the sentence encoder where scripts are mixed inside its words, or words of
    English have strokes and tails.
    """
    if view.text.isascii():
        return
    made = view.text.translate(confusables())
    if made == view.text:
        return
    mixed = np.zeros(len(made), np.bool_)
    for word in _WORD.finditer(view.text):
        if not word[0].isascii() and _mixes(word[0], made[word.start() : word.end()]):
            mixed[word.start() : word.end()] = True
    yield view.turned(made, LOOKALIKES).reading(_worth(made, mixed))


def _worth(text: str, hidden: npt.NDArray[np.bool_]) -> list[Span]:
    """The sentences that hide letters so and read as text; hidden is [len(text)] bool."""
    found = sentences_with(text, hidden, _MIXED_LETTERS)
    return [said for said in found if reads_as_text(text[said.start : said.end])]


def _mixes(word: str, as_read: str) -> bool:
    """Whether a word becomes Latin by this, and mixes scripts or is English only so."""
    if not as_read.isascii() or word == as_read:
        return False
    if all(unicodedata.name(char, "LATIN")[:5] == "LATIN" for char in word):
        return is_word(as_read.lower())
    return _LATIN_NEAR.search(word) is not None
