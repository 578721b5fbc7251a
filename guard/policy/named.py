"""The names that people ask about a target with, found in its aliases and example prompts.

What a name is of is told by its form and by the words around it: in quotes it is a title, after
"in" or "from" a place, with "Award" or "University" at its end an institution. Two or more words
with capitals are else a person's name. A single word that nothing tells of is left alone: "Islam"
is no person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from guard.bundle import NameKind, StandIn
from guard.normalise import SEP, normalise
from guard.phrases import ENOUGH_LETTERS, has_enough_letters, letters_of
from guard.policy.extract import candidates, lower_case_words
from guard.policy.words import DAYS, DEMONYMS, MONTHS, is_common_word
from guard.stand_ins.choice import INSTITUTIONS, PARTICLES, Name, choose
from guard.stand_ins.dates import find_days, wordings

_MIN_LETTERS: Final = 3
_QUOTES: Final = "\"'“”„«»‘’"
_PLACE_BEFORE: Final = re.compile(
    r"\b(?:in|at|from|near|to|around|across|outside|visit(?:ed|ing)?)\s+(?:the\s+)?$", re.IGNORECASE
)
# What a place is not followed by, nor preceded by.
_POSSESSIVE: Final = re.compile(r"['’]s?(?!\w)")
_PERSON_BEFORE: Final = re.compile(
    r"\b(?:by|authors?|writers?|artists?|singers?)\s+$", re.IGNORECASE
)
# "The Love Inspired genre": a name that says which.
_ADJECTIVE: Final = re.compile(
    r"\s+(?:genre|novel|book|series|film|stor(?:y|ies)|literature|communit(?:y|ies)|author|writer"
    r"|reader|style|identity|narrative|saga|franchise)s?\b"
)


def stand_ins_for(
    aliases: Sequence[str], prompts: Sequence[str], phrases: Sequence[str]
) -> tuple[StandIn, ...]:
    """The stand-ins of a target's names.

    Args:
        prompts: its examples.
        phrases: what it forbids, which no stand-in may say.
    """
    forbidden = {normalise(phrase) for phrase in (*aliases, *phrases)}
    forbidden |= {letters_of(phrase) for phrase in forbidden if has_enough_letters(phrase)}

    def avoid(text: str) -> bool:
        # As `PhraseSearch` finds phrases; there may be very many of them, and a stand-in is short.
        said = normalise(text)
        words, letters = said.split(SEP), letters_of(said)
        return any(
            SEP.join(words[start:end]) in forbidden
            for end in range(1, len(words) + 1)
            for start in range(end)
        ) or any(
            letters[start:end] in forbidden
            for end in range(ENOUGH_LETTERS, len(letters) + 1)
            for start in range(end - ENOUGH_LETTERS + 1)
        )

    return choose(names_in(aliases, prompts), avoid)


def names_in(aliases: Sequence[str], prompts: Sequence[str]) -> tuple[Name, ...]:
    """The names, each once, longer ones before the words that they are made of."""
    finder = _Finder(prompts)
    for alias in aliases:
        finder.read_alias(alias)
    for prompt in prompts:
        finder.read(prompt)
    return tuple(finder.names())


class _Finder:
    def __init__(self, prompts: Sequence[str]) -> None:
        self._lower = lower_case_words([(prompt, "") for prompt in prompts])
        self._found: dict[str, Name] = {}
        # Of runs of capitalised words, by their normalised form: as written, and what speaks for
        # a place or against it.
        self._runs: dict[str, str] = {}
        self._says: Counter[tuple[str, bool]] = Counter()
        self._seen: Counter[str] = Counter()
        self._alone: list[str] = []
        self._adjectives: Counter[str] = Counter()

    def read_alias(self, alias: str) -> None:
        words = alias.split()
        name = all(
            not word[0].islower() or normalise(word) in PARTICLES for word in words
        ) and not alias.startswith("The ")
        if len(words) == 1:
            self._alone.append(alias)
        elif name:
            self._run(alias, is_place=None)
        elif any(word[0].isupper() for word in words):
            self._add(alias, _kind_of_title(alias))

    def read(self, prompt: str) -> None:
        for day in find_days(prompt):
            self._add(wordings(day)[0], "day")
            if day.year is not None:
                self._add(str(day.year), "number")
        before: str | None = None
        for candidate in candidates(prompt, self._lower):
            for match in re.finditer(re.escape(candidate), prompt):
                self._place_candidate(candidate, prompt, match.start(), match.end(), before)
            before = candidate

    def _place_candidate(
        self, candidate: str, prompt: str, start: int, end: int, before: str | None
    ) -> None:
        if candidate[0].isdecimal() or find_days(candidate):
            if candidate.isdecimal() and len(candidate) >= _MIN_LETTERS:
                self._add(candidate, "number")
        elif _is_quoted(prompt, start, end):
            self._add(candidate, _kind_of_title(candidate))
        elif normalise(candidate.split()[-1]) in INSTITUTIONS and SEP in candidate:
            self._add(candidate, "institution")
        else:
            self._run(candidate, is_place=self._tells(prompt, start, end, before))
            self._adjectives[normalise(candidate)] += bool(_ADJECTIVE.match(prompt, end))

    def _tells(self, prompt: str, start: int, end: int, before: str | None) -> bool | None:
        """Whether the words around a name tell a place or something else; None for neither."""
        head = prompt[:start]
        if _POSSESSIVE.match(prompt, end) or _PERSON_BEFORE.search(head):
            return False
        if _ADJECTIVE.match(prompt, end):
            return None
        if _PLACE_BEFORE.search(head):
            return True
        listed = before is not None and head.rstrip(", ").endswith(before)
        return True if listed and self._is_place(normalise(before or "")) else None

    def _run(self, text: str, *, is_place: bool | None) -> None:
        words = normalise(text)
        if _says_nothing(words):
            return
        self._runs.setdefault(words, text)
        self._seen[words] += 1
        if is_place is not None:
            self._says[words, is_place] += 1

    def _is_place(self, words: str) -> bool:
        return self._says[words, True] > self._says[words, False]

    def names(self) -> Iterator[Name]:
        persons = [
            text
            for words, text in self._runs.items()
            if not self._is_place(words) and len(text.split()) > 1
        ]
        for text in persons:
            self._add(text, "person")
        for words, text in self._runs.items():
            if self._is_place(words):
                self._add(text, "place")
        for alias in self._alone:
            # Whatever it names, an alias is what the target is asked for by.
            self._add(alias, "family")
        for text in persons:
            if 2 * self._adjectives[normalise(text)] < self._seen[normalise(text)]:
                self._add_words(text)
        return iter(self._found.values())

    def _add_words(self, person: str) -> None:
        """The words of a person's name that are swapped by themselves, too."""
        own = [word for word in person.split() if normalise(word) not in PARTICLES]
        for place, word in enumerate(own):
            words = normalise(word)
            joined = SEP in words  # by a hyphen, which everyday words are not
            long = len(words.replace(SEP, "")) >= _MIN_LETTERS
            if long and (joined or not (is_common_word(words) or words in self._lower)):
                self._add(word, "family" if place == len(own) - 1 else "given")

    def _add(self, text: str, kind: NameKind) -> None:
        self._found.setdefault(normalise(text), Name(text, kind))


def _is_quoted(text: str, start: int, end: int) -> bool:
    after = text[end : end + 3].strip(",.;:")
    return start > 0 and text[start - 1] in _QUOTES and after[:1] in tuple(_QUOTES)


def _kind_of_title(text: str) -> NameKind:
    # A medal's name may go on: "Medal for Discoveries in Earth Sciences".
    is_institution = any(normalise(word) in INSTITUTIONS for word in text.split())
    return "institution" if is_institution and SEP in text else "title"


def _says_nothing(words: str) -> bool:
    """Whether capitalised words are no name: nations' adjectives, months, everyday words."""
    parts = words.split(SEP)
    if len(words.replace(SEP, "")) < _MIN_LETTERS:
        return True
    return all(
        part in DEMONYMS or part in MONTHS or part in DAYS or part in PARTICLES
        or (len(parts) == 1 and is_common_word(part))
        for part in parts
    )  # fmt: skip
