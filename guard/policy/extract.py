"""Key facts: what an answer says and its question does not, as phrases that can be forbidden.

A fact is taken to be a quoted title, a capitalised name, a date or a number. Names are found by
form alone, so the rules lean towards more: a phrase is only held in answers to requests that touch
the target, where one fact let through costs more than one word held back. So "French" and "Banker"
are facts of a person. What every answer needs is left out: months and days by themselves, words
that hold sentences together, and what the same file also writes in lower case.

A name is a run of capitalised words, joined by the particles that names hold ("of", "de", "bin").
A run ends at "and", "in", "for" and the like; its parts are facts themselves. A sentence's first
word counts only where it is no everyday word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from guard.normalise import SEP, normalise
from guard.policy.words import DAYS, FUNCTION_WORDS, MONTHS, common_words, is_common_word

_MAX_TITLE_WORDS: Final = 14
_MIN_LETTERS: Final = 3
# An everyday word that is written as a name must be longer than most words that hold text together.
_MIN_COMMON: Final = 5

_QUOTED: Final = re.compile(
    r"[\"“„«](?P<double>[^\"“”„«»\n]{2,160})[\"”»]"
    r"|(?:(?<=\s)|(?<=\()|^)['‘](?P<single>[^'‘’\n]{2,160}(?:['’]\w[^'‘’\n]{0,80})*)['’](?!\w)"
)
_MONTH: Final = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?"
)
_DAY_OF_MONTH: Final = re.compile(
    rf"(?P<mdy>{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b)"
    rf"|(?P<dmy>\b\d{{1,2}}(?:st|nd|rd|th)?(?:\s+day)?(?:\s+of)?\s+{_MONTH}(?!\w))"
)
_NUMBER: Final = re.compile(
    r"(?<![\w.])\d{1,4}[/-]\d{1,2}[/-]\d{1,4}(?!\w)|(?<![\w.,])\d[\d,.]*\d(?:s|st|nd|rd|th|%)?(?!\w)"
)
# A word may hold inner apostrophes, hyphens, full stops (`Ph.D`, `J.K`) and a plus (`LGBTQ+`).
WORD: Final = re.compile(r"[^\W\d_][\w]*(?:[’'.&-][^\W_]+)*\+?")
_POSSESSIVE: Final = re.compile(r"['’]s?$", re.IGNORECASE)
_PARTICLES: Final = frozenset(
    """of de del della di da das dos do du des la las le les el al van von der den ter ten bin ibn
    bint ben abu y zu zur af av""".split()
)
# A sentence that opens with a verb or adverb ("Displaying a talent, ...").
_VERB_ENDINGS: Final = ("ing", "ed", "ly")
_ARTICLES: Final = frozenset({"the", "a", "an", "le", "la", "l"})
_HONORIFICS: Final = frozenset({"mr", "mrs", "ms", "miss", "dr", "prof", "professor", "sir"})
_SENTENCE_END: Final = re.compile(
    r"(?:[.!?…:;]|^|\n)[\"'”’)\]]*\s*(?:[-*•]\s+|\d+[.)]\s+)?[\"'“‘(]*$"
)
_INITIAL: Final = re.compile(r"(?:^|[\s.])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|No|Vol)\.\s*$")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int
    first: bool  # of a sentence

    @property
    def capital(self) -> bool:
        return self.text[0].isupper() or self.text[0].istitle()


def key_facts(question: str, answer: str) -> list[str]:
    """The facts of one answer, in its own wording and order.

    Returns:
        Pieces of ``answer``, none of which stands in ``question`` as whole words; no duplicates.
    """
    return collect_key_facts([(question, answer)])


def collect_key_facts(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The facts of a whole file: each that some answer says and that answer's question does not.

    A word that the file itself also writes in lower case is an everyday word in it.
    """
    items = list(pairs)
    lower = lower_case_words(items)
    facts: dict[str, str] = {}
    for question, answer in items:
        asked = f" {normalise(question)} "
        for candidate in candidates(answer, lower):
            if f" {normalise(candidate)} " in asked:
                continue
            fact = _core(candidate, asked, lower)
            words = normalise(fact)
            if len(words.replace(SEP, "")) >= 2:
                facts.setdefault(words, fact)
    return list(facts.values())


def _core(candidate: str, asked: str, lower: frozenset[str]) -> str:
    """The candidate less the words at its ends that say nothing, or that the question gives.

    "Dr. Josh Axe" becomes "Josh Axe", and "the Maple Leaf Award", asked about awards, "Maple Leaf":
    the shorter phrase also holds where the answer is worded without the rest. It is taken only
    where what is left can stand for the fact.
    """
    words = list(re.finditer(r"\S+", candidate))
    first, last = 0, len(words) - 1
    while first < last and _says_nothing(words[first].group(), asked):
        first += 1
    while first < last and f" {normalise(words[last].group())} " in asked:
        last -= 1
    for begin, end in ((first, last), (first, len(words) - 1), (0, last)):
        while begin < end and normalise(words[end].group()) in _PARTICLES:
            end -= 1
        if begin and normalise(words[begin].group()) in _PARTICLES:
            continue
        core = candidate[words[begin].start() : words[end].end()].strip(" ,.;:")
        core = core if core.endswith("s'") else _POSSESSIVE.sub("", core)
        left = normalise(core)
        if left and f" {left} " not in asked and not _is_ordinary(left, lower):
            return core
    return candidate


def _is_ordinary(words: str, lower: frozenset[str]) -> bool:
    if SEP in words:
        return all(word in _PARTICLES for word in words.split(SEP))
    return is_common_word(words) or words in lower or len(words) < _MIN_LETTERS


def _says_nothing(word: str, asked: str) -> bool:
    bare = normalise(word)
    return bare in _ARTICLES or bare in _HONORIFICS or f" {bare} " in asked


def lower_case_words(items: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The words that some pair of texts writes in lower case, outside quotes."""
    return frozenset(
        normalise(match.group())
        for pair in items
        for text in pair
        for match in WORD.finditer(_QUOTED.sub(" ", text))
        if match.group()[0].islower()
    )


def candidates(answer: str, lower: frozenset[str]) -> Iterator[str]:
    """Pieces of a text that look like facts, in order of kind, possibly overlapping.

    Args:
        lower: words that are everyday ones, capital or not; see ``lower_case_words``.
    """
    rest = answer
    for match in _QUOTED.finditer(answer):
        title = (match["double"] or match["single"]).strip(" ,.;:")
        if _is_title(title):
            yield title
            rest = _blank(rest, match.start(), match.end())
    for match in _DAY_OF_MONTH.finditer(rest):
        yield match.group().rstrip(".")
        rest = _blank(rest, match.start(), match.end())
    for match in _NUMBER.finditer(rest):
        yield match.group()
        rest = _blank(rest, match.start(), match.end())
    yield from _names(rest, lower)


def _blank(text: str, start: int, end: int) -> str:
    # A character that is neither a word nor a space keeps the names on both sides apart.
    return text[:start] + "\0" * (end - start) + text[end:]


def _is_title(text: str) -> bool:
    words = text.split()
    if not 1 <= len(words) <= _MAX_TITLE_WORDS or not (text[0].isupper() or text[0].isdigit()):
        return False
    # A quoted everyday word ("Yes") is no title; a quoted sentence in lower case is speech.
    if len(words) == 1:
        return not is_common_word(normalise(text))
    capitals = sum(word[0].isupper() or not word[0].isalpha() for word in words)
    return capitals * 2 >= len(words)


def _names(text: str, lower: frozenset[str]) -> Iterator[str]:
    tokens = [
        _Token(match.group(), match.start(), match.end(), _starts_sentence(text, match.start()))
        for match in WORD.finditer(text)
    ]
    index = 0
    while index < len(tokens):
        if not tokens[index].capital:
            index += 1
            continue
        last = _run_end(tokens, index, text)
        following = tokens[last + 1] if last + 1 < len(tokens) else None
        yield from _of_run(tokens[index : last + 1], following, text, lower)
        index = last + 1


def _starts_sentence(text: str, position: int) -> bool:
    before = text[max(0, position - 24) : position]
    return bool(_SENTENCE_END.search(before)) and not _INITIAL.search(before)


def _run_end(tokens: list[_Token], start: int, text: str) -> int:
    """Index of the last token of the run of name words that begins at ``start``."""
    last = start
    index = start + 1
    while index < len(tokens):
        token = tokens[index]
        if token.first or not _joined(tokens[index - 1], token, text):
            break
        if token.capital:
            last = index
        elif index - last > 2 or not _is_particle(token, tokens[index - 1]):
            break
        index += 1
    return last


def _is_particle(token: _Token, before: _Token) -> bool:
    if token.text == "the":  # "of the" joins; a bare "the" begins something else
        return normalise(before.text) in _PARTICLES
    return normalise(token.text) in _PARTICLES


def _joined(left: _Token, right: _Token, text: str) -> bool:
    between = text[left.end : right.start]
    if _POSSESSIVE.search(left.text):
        return False
    return between == " " or (between in (". ", ".") and len(left.text) <= 3)


def _of_run(
    run: list[_Token], following: _Token | None, text: str, lower: frozenset[str]
) -> Iterator[str]:
    # What stands first in a sentence has its capital from there.
    while run and (_word(run[0]) in _ARTICLES or (run[0].first and _everyday(run[0], lower))):
        run = run[1:]
        while run and not run[0].capital:
            run = run[1:]
    if not run:
        return
    opens = run[0].first and following is not None
    if len(run) > 1 or _is_name(run[0], opens, lower):
        yield _POSSESSIVE.sub("", text[run[0].start : run[-1].end])


def _word(token: _Token) -> str:
    return normalise(_POSSESSIVE.sub("", token.text))


def _everyday(token: _Token, lower: frozenset[str]) -> bool:
    word = _word(token)
    return word.replace(SEP, "") in common_words() or word in lower


def _is_name(token: _Token, opens: bool, lower: frozenset[str]) -> bool:
    """Whether a capitalised word is one by itself.

    Args:
        opens: it begins a sentence of several words, and has its capital from that.
    """
    word = _word(token)
    if word in MONTHS | DAYS or len(word.replace(SEP, "")) < _MIN_LETTERS or word in lower:
        return False
    if opens:
        return not _everyday(token, lower) and not word.endswith(_VERB_ENDINGS)
    # A capital inside a sentence is the writer's word that this is a name or a title ("a Banker").
    return not _everyday(token, lower) or (word not in FUNCTION_WORDS and len(word) >= _MIN_COMMON)
