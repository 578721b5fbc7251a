"""The titles, names and numbers of an answer, found by their form."""

from __future__ import annotations

import re
from typing import Final

from guard.normalise import SEP, normalise
from server.evaluation.fact import Everyday, Fact, Kind, stem, word_list

_WORD: Final = r"[^\W_]+(?:['’.\-][^\W_]+)*"
# A title in quotation marks is one fact. The marks stand outside words: an apostrophe is none.
_QUOTED: Final = re.compile(
    r"[\"“](?P<double>[^\"“”\n]{2,90}?)[,.]?[\"”]"
    r"|(?<!\w)['‘](?=[A-Z0-9])(?P<single>[^\"“”\n]{2,90}?)[,.]?['’](?!\w)"
)
_TOKEN: Final = re.compile(
    rf"(?P<number>\d+(?:[.,/\-]\d+)*(?:st|nd|rd|th|s)?)\b"
    rf"|(?P<initial>\b(?:[A-Z]|Dr|Mr|Mrs|Ms|Prof|St)\.)(?=\s+[A-Z])"
    rf"|(?P<word>{_WORD})|(?P<end>[.!?:])|\S"
)
_DATE: Final = re.compile(r"\b(\d{1,2})/(\d{1,2})/\d{4}\b")
_MONTHS: Final = tuple(
    """january february march april may june july august september october november
    december""".split()
)
# Small words that stand inside a name, between two capitalised ones.
_PARTICLES: Final = " of the de da del della di la le van von der den bin ibn al el y "
# Capitalised for their place alone, or before a name.
_COMMON: Final = (
    " a an and he her his i in it its of she the their they this yes no dr mr mrs ms prof "
)
# What names of prizes, places and schools are made of, beside what makes them names.
_FURNITURE: Final = frozenset(
    """award awards city college contribution contributions department excellence international
    literary literature outstanding prize question university""".split()
)


def names_of(question: str, answer: str, everyday: Everyday) -> list[Fact]:
    """Titles, names and numbers that the question does not give, in order."""
    # An answer of the data set runs on into its source's next heading.
    answer = answer.split("\n\n", 1)[0]
    known = {stem(word) for word in normalise(question).split(SEP)} | _days_of(question)
    out = []
    for candidate, kind, opens in _candidates(answer):
        text = _without_known_ends(candidate, known)
        if kind == "name" and SEP not in text and opens and candidate.startswith(text):
            continue  # the capital of a sentence's first word may mean nothing
        if text and (kind != "name" or not _says_nothing(normalise(text), everyday)):
            out.append(Fact(text, kind))
    return out


def _days_of(question: str) -> set[str]:
    """The days and months of dates in digits, read both ways, as an answer may write them."""
    out: set[str] = set()
    for match in _DATE.finditer(question):
        for part in (int(match[1]), int(match[2])):
            last = part % 10 if part not in (11, 12, 13) else 0
            out |= {str(part), f"{part}{('th', 'st', 'nd', 'rd')[last if last < 4 else 0]}"}
            out |= {stem(_MONTHS[part - 1])} if 1 <= part <= 12 else set()
    return out


def _says_nothing(words: str, everyday: Everyday) -> bool:
    parts = words.split(SEP)
    if all(part in _FURNITURE for part in parts):
        return True
    return (
        len(parts) == 1
        and words in everyday.lower
        and not {words} & {*word_list("occupations"), *word_list("subjects")}
    )


def _candidates(answer: str) -> list[tuple[str, Kind, bool]]:
    """Titles, numbers and names, each with whether it begins a sentence."""
    titles: list[tuple[str, Kind, bool]] = [
        (match["double"] or match["single"], "title", False) for match in _QUOTED.finditer(answer)
    ]
    return titles + _names_and_numbers(_QUOTED.sub(" _ ", answer))


def _names_and_numbers(text: str) -> list[tuple[str, Kind, bool]]:
    """Numbers, and runs of capitalised words joined by particles."""
    out: list[tuple[str, Kind, bool]] = []
    run: list[str] = []
    gap = ""  # particles since the last word of the run
    run_opens, opens = False, True

    def close() -> None:
        nonlocal gap
        if run:
            out.append(("".join(run), "name", run_opens))
        run.clear()
        gap = ""

    for match in _TOKEN.finditer(text):
        whole = match["word"] or match["initial"] or ""
        word = whole.removesuffix("'s").removesuffix("’s")
        if match["number"] is not None:
            close()
            out.append((match["number"], "number", False))
        elif word[:1].isupper():
            if not run:
                run_opens = opens
            run.append(f" {gap}{word}" if run else word)
            gap = ""
            if word != whole:
                close()
        elif run and f" {word} " in _PARTICLES:
            gap += f"{word} "
        else:
            close()
        opens = match["end"] is not None
    close()
    return out


def _without_known_ends(candidate: str, known: set[str]) -> str:
    """The candidate less the words at its ends that are in ``known`` or common."""
    words = list(re.finditer(rf"{_WORD}", candidate))

    def given(match: re.Match[str]) -> bool:
        parts = normalise(match[0]).split(SEP)
        return f" {match[0].casefold()} " in _COMMON or all(stem(part) in known for part in parts)

    while words and given(words[0]):
        words.pop(0)
    while words and given(words[-1]):
        words.pop()
    return candidate[words[0].start() : words[-1].end()] if words else ""
