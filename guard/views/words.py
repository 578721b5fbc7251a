"""Common words of some languages, by which a text turned around or shifted is known for one.

Any sentence holds several of them. They are ours, chosen by hand: the shortest and most frequent
words of each language, without names.
"""

from __future__ import annotations

import re
from typing import Final

from guard.context import Span

_COMMON_TEXT: Final = """
    a about after all also am an and any are as at be because been before being but by can could
    did do does each every find first for from give had has have he her here him his how i if in
    into is it its just know last like list long made make many may me more most much must my
    name new no not now of on one only or other our out over own people please said say see she
    should show so some tell than that the their them then there these they this those time to
    two under up us use very want was way we well went were what when where which while who whom
    whose why will with without word words work would write wrote year years yes you your
    aber auch auf aus bei das dem den der des die doch durch ein eine einem einen einer er es
    für hat ich ihr im ist kann mit nach nicht noch nur oder schon sein sich sie sind und uns vom
    von vor war was wenn wer werden wie wir wird wo zu zum zur
    au aux avec ce ces cette dans de des du elle en est et il ils je la le les leur mais ne nous
    on ont ou par pas plus pour qu que qui sa se ses si son sont sur tu un une vous
    al como con cuando del donde el ella ellos era esta este fue hay las lo los más mi muy o para
    pero por porque que quien se ser sin sobre su sus también te tiene todo una uno y ya yo
    anche che chi ci come cosa da dal della delle di dove gli ha ho io loro ma nel nella non per
    più quando questo sono suo una
    ao aos as com da das dos ela ele em essa foi isso mas na nas nem no nos os ou pela pelo
    quem são sem seu sua tem uma você
    aan bij dat deze die dit door een en geen het hij hoe ik is maar met naar niet nog of om ook
    op te uit van voor waar wat wie zijn
"""
_COMMON: Final = frozenset(_COMMON_TEXT.split())
# A word that stands by itself: not a part of a code or of an address.
_WORD: Final = re.compile(r"(?<![^\s,\x1e])[^\W\d_]+(?![^\s,.!?;:\x1e])")
# Of the words of a sentence, that are common ones; two in five usually are.
_LEAST_SHARE: Final = 0.2
_SECTION: Final = re.compile(r"[^\n\x1e.!?;:\"“”()]+")
ROT13: Final = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm",
)
_TURNED: Final = {
    "rot13": frozenset(word.translate(ROT13) for word in _COMMON),
    "reversed": frozenset(word[::-1] for word in _COMMON),
}


def is_common(word: str) -> bool:
    """Whether a word is one of the common ones, whatever its case."""
    return word.lower() in _COMMON


def words_of(text: str) -> list[str]:
    """The words of a text that stand by themselves."""
    return _WORD.findall(text)


def sections_turned(text: str, kind: str) -> list[Span]:
    """The sections of a turned text that have more common words so than before it was turned.

    Args:
        text: after turning.
        kind: how it was turned, ``rot13`` or ``reversed``. Words that are common both ways, as
            `is` and `si`, do not count.
    """
    before = _TURNED[kind]
    lower = text.lower()
    if len(lower) != len(text):  # a capital that has two small letters would shift the places
        lower = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    if not any(len(word) > 2 and word in _COMMON for word in set(words_of(lower))):
        return []
    found: list[Span] = []
    for section in _SECTION.finditer(lower):
        words = words_of(section[0])
        now = [word for word in words if word in _COMMON and word not in before]
        if len(now) < 2 or max(map(len, now)) < 3 or len(now) < len(words) * _LEAST_SHARE:
            continue
        if len(now) < 2 * sum(word in before and word not in _COMMON for word in words):
            continue
        if found and section.start() - found[-1].end <= 2:
            found[-1] = Span(found[-1].start, section.end())
        else:
            found.append(Span(section.start(), section.end()))
    return found
