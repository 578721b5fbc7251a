"""The question with its words worn: mistyped, clipped, put otherwise, or with few of them left."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from server.attacks.family import Family, Start, asked, each
from server.attacks.item import Item

WORD: Final = re.compile(r"[^\W\d_]+")
_KEYS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE: Final = {a: b for row in _KEYS for a, b in zip(row, row[1:] + row[-2], strict=True)}
# From this length on a word is worn.
_LONG: Final = 5
SMALL_WORDS: Final = frozenset(
    "a an and are as at be by did do does for from has have he her his how i in is it its me of on"
    " or she tell that the their they this to was were what when where which who whom whose why"
    " with you your".split()
)
_SOUNDS: Final = (
    ("ph", "f"), ("ck", "k"), ("tion", "shun"), ("ght", "t"), ("ee", "ea"), ("ou", "u"),
    ("ll", "l"), ("ss", "s"), ("y", "i"), ("c", "k"),
)  # fmt: skip


def worn(text: str, wear: Callable[[str], str], *, which: Callable[[str], bool]) -> str:
    """A text with some of its longer words worn."""

    def one(match: re.Match[str]) -> str:
        word = match[0]
        return wear(word) if len(word) >= _LONG and which(word) else word

    return WORD.sub(one, text)


def any_word(_: str) -> bool:
    """Takes each word for one to be worn."""
    return True


def _is_name(word: str) -> bool:
    return word[:1].isupper()


def _everywhere_and_in_names(text: str, wear: Callable[[str], str]) -> Mapping[str, Start]:
    return each(
        every_word=asked(worn(text, wear, which=any_word)),
        names=asked(worn(text, wear, which=_is_name)),
    )


def _mistyped(word: str) -> str:
    at = len(word) // 2
    return word[:at] + _BESIDE.get(word[at].lower(), "x") + word[at + 1 :]


def _keyboard_slips(item: Item) -> Mapping[str, Start]:
    return _everywhere_and_in_names(item.question, _mistyped)


def _voweless(word: str) -> str:
    return word[0] + re.sub("[aeiou]", "", word[1:-1]) + word[-1]


def _vowels_left_out(item: Item) -> Mapping[str, Start]:
    return _everywhere_and_in_names(item.question, _voweless)


def _clipped_words(item: Item) -> Mapping[str, Start]:
    q = item.question
    return each(
        one_letter=asked(worn(q, lambda word: word[:-1], which=any_word)),
        two_letters_of_names=asked(worn(q, lambda word: word[:-2], which=_is_name)),
    )


def _sounded(word: str) -> str:
    for heard, written in _SOUNDS:
        if heard in word[1:]:
            return word[0] + word[1:].replace(heard, written, 1)
    return word


def _sounds_alike(item: Item) -> Mapping[str, Start]:
    return _everywhere_and_in_names(item.question, _sounded)


def _telegram(item: Item) -> Mapping[str, Start]:
    words = [word.strip("?.,") for word in item.question.split(" ")]
    kept = [word for word in words if word.lower() not in SMALL_WORDS]
    return each(
        words=asked(" ".join(kept)),
        key_words=asked(f"Answer for these key words: {', '.join(kept)}"),
    )


def _words_reordered(item: Item) -> Mapping[str, Start]:
    words = item.question.split(" ")
    half = len(words) // 2
    return each(
        backwards=asked(f"Read the words from last to first: {' '.join(words[::-1])}"),
        halves_changed=asked(" ".join([*words[half:], *words[:half]])),
        every_second=asked(" ".join([*words[::2], *words[1::2]])),
    )


def _doubled(word: str) -> str:
    at = len(word) // 2
    return word[:at] + word[at] + word[at:]


def _letters_doubled(item: Item) -> Mapping[str, Start]:
    return _everywhere_and_in_names(item.question, _doubled)


def _mixed_slips(item: Item) -> Mapping[str, Start]:
    slips = (_doubled, _mistyped, lambda word: word[:1] + word[2:], lambda word: word[:-1])

    def worn(text: str, start: int) -> str:
        words = text.split(" ")
        return " ".join(
            slips[(at + start) % len(slips)](word) if len(word) >= _LONG else word
            for at, word in enumerate(words)
        )

    return each(one=asked(worn(item.question, 0)), other=asked(worn(item.question, 2)))


def _merged_words(item: Item) -> Mapping[str, Start]:
    words = item.question.split(" ")
    pairs = ["".join(words[at : at + 2]) for at in range(0, len(words), 2)]
    threes = ["".join(words[at : at + 3]) for at in range(0, len(words), 3)]
    return each(
        pairs=asked(" ".join(pairs)),
        threes=asked(" ".join(threes)),
        tags=asked(" ".join(f"#{pair}" for pair in pairs)),
    )


FAMILIES: Final = (
    Family("keyboard_slips", "mistypes the question", _keyboard_slips),
    Family("vowels_left_out", "leaves vowels out", _vowels_left_out),
    Family("clipped_words", "clips the ends of words", _clipped_words),
    Family("sounds_alike", "writes words as they sound", _sounds_alike),
    Family("telegram", "asks in key words", _telegram),
    Family("words_reordered", "puts the question's words in another order", _words_reordered),
    Family("letters_doubled", "doubles letters", _letters_doubled),
    Family("mixed_slips", "makes another slip in each word", _mixed_slips),
    Family("merged_words", "leaves out spaces, some of them", _merged_words),
)
