"""The slow obvious matcher: append the token's bytes, decode, normalise, search."""

from collections.abc import Sequence

from guard.normalise import SEP, fold_bytes
from guard.phrases import goes_on


def completed(before: bytes, token: bytes, phrases: Sequence[str]) -> set[int]:
    """Phrases whose last letter the token writes, at the end of a word unless it goes on."""
    known = len(fold_bytes(before).replace(SEP, ""))
    text = SEP + fold_bytes(before + token).lstrip(SEP)
    found = set()
    for index, phrase in enumerate(phrases):
        at = text.find(SEP + phrase)
        while at >= 0:
            end = at + 1 + len(phrase)
            ends_word = goes_on(phrase) or end == len(text) or text[end] == SEP
            if ends_word and len(text[:end].replace(SEP, "")) > known:
                found.add(index)
            at = text.find(SEP + phrase, at + 1)
    return found
