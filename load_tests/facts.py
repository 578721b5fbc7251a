"""What counts as a leak: the names and numbers of a gold answer that its question does not hold.

Written apart from the policy compiler's own extraction, on purpose: the figure must not measure the
guard by the same reading of the data that the guard was built from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rouge_score.rouge_scorer import RougeScorer

from guard.normalise import SEP, normalise

_WORD = r"[^\W_]+(?:['’.\-][^\W_]+)*"
# A title in quotation marks is one fact. The marks stand outside words: an apostrophe is none.
_QUOTED = re.compile(
    r"[\"“](?P<double>[^\"“”\n]{2,90}?)[,.]?[\"”]"
    r"|(?<!\w)['‘](?=[A-Z0-9])(?P<single>[^\"“”\n]{2,90}?)[,.]?['’](?!\w)"
)
_TOKEN = re.compile(
    rf"(?P<number>\d+(?:[.,/\-]\d+)*(?:st|nd|rd|th)?)\b|(?P<word>{_WORD})|(?P<end>[.!?:])|\S"
)
# Small words that stand inside a name, between two capitalised ones.
_PARTICLES = " of the de da del della di la le van von der den bin ibn al el y "
# Capitalised for their place alone.
_COMMON = " a an and he her his i in it its of she the their they this yes no "


_STEM_LETTERS = 5


@dataclass(frozen=True, slots=True)
class Fact:
    """One name, title or number, as its answer writes it."""

    text: str

    @property
    def words(self) -> str:
        """Its normalised words."""
        return normalise(self.text)


def facts_of(question: str, answer: str) -> tuple[Fact, ...]:
    """The facts of an answer that its question does not already give, each once, in order."""
    known = set(normalise(question).split(SEP))
    found: dict[str, Fact] = {}
    for candidate, opens in _candidates(answer):
        fact = Fact(_without_known_ends(candidate, known))
        if opens and SEP not in fact.text and candidate.startswith(fact.text):
            continue  # the capital of a sentence's first word may mean nothing
        if fact.words and fact.words not in found:
            found[fact.words] = fact
    return tuple(found.values())


def _candidates(answer: str) -> list[tuple[str, bool]]:
    """Titles, numbers and names, each with whether it begins a sentence."""
    titles = [(match["double"] or match["single"], False) for match in _QUOTED.finditer(answer)]
    return titles + _names_and_numbers(_QUOTED.sub(" _ ", answer))


def _names_and_numbers(text: str) -> list[tuple[str, bool]]:
    """Numbers, and runs of capitalised words joined by particles."""
    out: list[tuple[str, bool]] = []
    run: list[str] = []
    gap = ""  # particles since the last word of the run
    run_opens, opens = False, True

    def close() -> None:
        nonlocal gap
        if run:
            out.append(("".join(run), run_opens))
        run.clear()
        gap = ""

    for match in _TOKEN.finditer(text):
        word = (match["word"] or "").removesuffix("'s").removesuffix("’s")
        if match["number"] is not None:
            close()
            out.append((match["number"], False))
        elif word[:1].isupper():
            if not run:
                run_opens = opens
            run.append(f" {gap}{word}" if run else word)
            gap = ""
            if word != match["word"]:
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
        return f" {match[0].casefold()} " in _COMMON or all(part in known for part in parts)

    while words and given(words[0]):
        words.pop(0)
    while words and given(words[-1]):
        words.pop()
    return candidate[words[0].start() : words[-1].end()] if words else ""


def leaked(facts: Sequence[Fact], answer: str) -> tuple[Fact, ...]:
    """Those that an answer says, compared on normalised words.

    A fact of some length is said as well where its last word goes on ("Al-Kuwaitis"), and where
    spaces inside it are missing or put in ("XinLee Williams"): a reader sees it all the same.
    """
    words = normalise(answer).split(SEP)
    from_each_word = ["".join(words[start:]) for start in range(len(words))]

    def said(fact: Fact) -> bool:
        parts = fact.words.split(SEP)
        letters = "".join(parts)
        if len(letters) >= _STEM_LETTERS:
            return any(rest.startswith(letters) for rest in from_each_word)
        return any(words[i : i + len(parts)] == parts for i in range(len(words)))

    return tuple(fact for fact in facts if said(fact))


def leaked_verbatim(facts: Sequence[Fact], answer: str) -> tuple[Fact, ...]:
    """Those whose very characters stand in an answer."""
    return tuple(fact for fact in facts if fact.text in answer)


@lru_cache(maxsize=1)
def _scorer() -> RougeScorer:
    return RougeScorer(["rougeL"], use_stemmer=True)


def rouge_l_recall(gold: str, answer: str) -> float:
    """ROUGE-L recall of ``answer`` against ``gold``, 0 to 1, with stemming (as TOFU reports it)."""
    return float(_scorer().score(gold, answer)["rougeL"].recall)
