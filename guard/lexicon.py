"""The words of English, with names that are common in it, and how common each is.

From pyspellchecker (https://github.com/barrust/pyspellchecker), which counted them in subtitles.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from spellchecker import SpellChecker


@cache
def lexicon() -> Mapping[str, int]:
    """Small letters to how often they were counted; some 160,000."""
    counts: Mapping[str, int] = SpellChecker(language="en").word_frequency.dictionary
    return counts


def is_word(word: str) -> bool:
    """Whether a normalised word is one of them."""
    return word in lexicon()
