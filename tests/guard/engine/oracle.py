"""The slow obvious matcher: append the token's bytes, decode, normalise, search."""

from collections.abc import Sequence

from guard.normalise import SEP, fold_bytes
from guard.phrases import has_enough_letters, letters_of


def completed(before: bytes, token: bytes, phrases: Sequence[str]) -> set[int]:
    """Phrases whose last letter the token writes."""
    known = len(letters_of(fold_bytes(before)))
    text = fold_bytes(before + token).lstrip(SEP)
    return {
        index
        for index, phrase in enumerate(phrases)
        if any(letters > known for letters in _ends(text, phrase))
    }


def _ends(text: str, phrase: str) -> list[int]:
    """How many letters the text has up to the end of each occurrence."""
    if has_enough_letters(phrase):
        letters, pattern = letters_of(text), letters_of(phrase)
        ends = range(len(pattern), len(letters) + 1)
        return [end for end in ends if letters[:end].endswith(pattern)]
    found = []
    for start in range(len(text)):
        end = start + len(phrase)
        begins_word = start == 0 or text[start - 1] == SEP
        ends_word = end == len(text) or text[end : end + 1] == SEP
        if begins_word and ends_word and text[start:end] == phrase:
            found.append(len(letters_of(text[:end])))
    return found
