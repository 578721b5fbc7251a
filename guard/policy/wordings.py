"""Wordings: short runs of the words that an answer is learned in, to be given in other words only.

A model that is denied the facts of an answer still says the rest of it word for word. Runs of words
are held as other phrases are, so that words run together ("thegenre of") are no way around them,
which they are around a filter of whole words (guard/verbatim.py). That one is for long texts;
this is for the answers of one target.

The names that a target is asked by do not count as words: "Mirelle Quay's novels are set" is a run
of three words, since an answer about Mirelle Quay cannot do without her name. And what is made of
function words alone ("it was of the") gives nothing away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from guard.normalise import SEP, normalise
from guard.policy.words import FUNCTION_WORDS

# What is left of "'s" after a name.
_POSSESSIVE: Final = "s"


def wordings(answers: Iterable[str], words: int, names: Iterable[str] = ()) -> list[str]:
    """Every run of ``words + 1`` words of the answers that tells something.

    Args:
        answers: as they are learned.
        words: how many of an answer's words may be said in a row.
        names: normalised; their words do not count.

    Returns:
        Normalised runs, each once. None begins or ends with a name.
    """
    split_names = sorted({tuple(name.split(SEP)) for name in names}, key=len, reverse=True)
    idle = {*FUNCTION_WORDS, _POSSESSIVE}
    found: dict[str, None] = {}
    for answer in answers:
        said = normalise(answer).split(SEP)
        is_name = _names(said, split_names)
        counted = [place for place in range(len(said)) if not is_name[place]]
        for nth in range(len(counted) - words):
            run = counted[nth : nth + words + 1]
            if not all(said[place] in idle for place in run):
                found[SEP.join(said[run[0] : run[-1] + 1])] = None
    return list(found)


def _names(said: Sequence[str], names: Sequence[tuple[str, ...]]) -> list[bool]:
    """[n] whether each word belongs to a name."""
    is_name = [False] * len(said)
    for place in range(len(said)):
        for name in names:
            end = place + len(name)
            if tuple(said[place:end]) == name:
                is_name[place:end] = [True] * len(name)
                if said[end : end + 1] == [_POSSESSIVE]:
                    is_name[end] = True
    return is_name
