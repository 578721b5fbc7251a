"""What a prompt may not hand back to the model: sentences, and the edits that withhold them.

Everything that the user did not type just now is context. The server splits it into sentences,
has them detected, and withholds the ones that touch a target; what is left in place of each run of
withheld sentences is a marker, so that neither the model nor a reader takes the rest for whole.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from guard.decision import ContextEdit

REDACTED: Final = "[passage withheld]"
DROPPED: Final = "[text withheld]"

# Words whose full stop seldom ends a sentence; compared without case and inner full stops.
_ABBREVIATIONS: Final = (
    " mr mrs ms mx dr prof rev hon st sr jr messrs mme mlle gen col maj capt lt sgt cmdr adm gov"
    " sen rep pres fr vs cf ca eg ie al approx dept est eds phd inc ltd corp bros ave blvd rd mt"
    " ft "
)
# The same, where a number follows.
_BEFORE_NUMBERS: Final = (
    " no nos vol vols p pp ch sec art para fig figs eq ed jan feb mar apr may jun jul aug sep sept"
    " oct nov dec mon tue wed thu fri sat sun "
)
_CLOSERS: Final = "\"'”’»›)\\]}*_`」』）】》〉］｝"
_MARKS: Final = ".!?…‽؟۔։।॥"
# A sentence's last mark: of a script with spaces, which needs one after it; or of one without. A
# run of marks is looked at once, or a text of nothing else would take the square of its length.
_ENDS: Final = re.compile(
    rf"(?:(?<![{_MARKS}])(?P<spaced>[{_MARKS}]++[{_CLOSERS}]*+)(?=\s|$)"
    rf"|[。！？｡．]+[{_CLOSERS}]*)|(?P<line>\n)"
)
_SPACES: Final = re.compile(r"\s*")
_LAST_WORD: Final = re.compile(r"[^\W_](?:[\w.'’-]*[^\W_])?\Z")
_LONGEST_WORD: Final = 40
_LONGEST_INDENT: Final = 40
_INITIALS: Final = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
# A line that begins something of its own: list item, heading, quotation, table row, `Name:`.
_OWN_LINE: Final = re.compile(
    r"[ \t]*(?:[-*+•‣◦·–—>#|=~`]"
    r"|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)][ \t]"
    r"|[\w ]{1,30}:(?:\s|$))"
)
_HEADING: Final = re.compile(r"[ \t]*[#|]")
# Characters on each side of an edge that tell whether a sentence ends there.
_REACH: Final = 80
# A shorter line was ended on purpose; a longer one was probably wrapped in mid-sentence.
_WRAPPED_LINE: Final = 40


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a text: offsets of its first character and of the one after its last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Withheld:
    """A span that a target keeps from the model, and how."""

    span: Span
    target: str
    action: Literal["redact", "drop"]


def split_sentences(text: str) -> list[Span]:
    """The sentences of a text in any of the usual scripts, in order and without gaps.

    White space belongs to the sentence before it. A line that is a list item, heading or table row
    is a sentence of its own; a line wrapped in mid-sentence is not. Where it is not clear whether a
    sentence ends (an abbreviation, an initial), it does not: an edit then withholds more, not less.
    """
    spans: list[Span] = []
    start = 0
    for end in _ends(text):
        # Leading white space has no sentence before it: it goes with the first.
        if end > start and not text[start:end].isspace():
            spans.append(Span(start, end))
            start = end
    if start < len(text):
        spans.append(Span(start, len(text)))
    return spans


def parted(before: str, after: str) -> bool:
    """Whether a sentence ends where one text follows another: neither goes on in the other."""
    before = before.rstrip()[-_REACH:]
    edge = len(before) + 1
    return any(span.end == edge for span in split_sentences(f"{before} {after.lstrip()[:_REACH]}"))


def overlapping(sentences: Sequence[Span], span: Span) -> Sequence[Span]:
    """Those of the sentences of a text, in order, that a part of it stands in."""
    first = bisect_right(sentences, span.start, key=lambda sentence: sentence.end)
    stop = bisect_left(sentences, span.end, key=lambda sentence: sentence.start)
    return sentences[first:stop]


def _ends(text: str) -> Iterator[int]:
    end = lines = 0
    for mark in _ENDS.finditer(text):
        if mark.end() > end and (spaces := _SPACES.match(text, mark.end())):
            end = spaces.end()
        if mark["line"] is not None:
            # Of several line ends with nothing between the first tells.
            if lines < end and _ends_line(text, mark.start(), end):
                yield end
            lines = end
        elif mark["spaced"] is None or _ends_spaced(text, mark, end):
            yield end


def _ends_line(text: str, newline: int, following: int) -> bool:
    """Whether a line end, with the white space up to ``following``, ends a sentence."""
    gap = text[newline:following]
    if following == len(text) or gap.count("\n") > 1:
        return True
    line_start = text.rfind("\n", 0, newline) + 1
    if newline - line_start < _WRAPPED_LINE or text[newline - 1] in ":;|":
        return True
    return bool(_OWN_LINE.match(text, newline + 1)) or bool(_HEADING.match(text, line_start))


def _ends_spaced(text: str, mark: re.Match[str], following: int) -> bool:
    """Whether a mark that is followed by white space, up to ``following``, ends a sentence."""
    if following == len(text):
        return True
    if text[following].islower() and "\n" not in text[mark.end() : following]:
        return False
    return mark["spaced"] != "." or not _is_abbreviation(text, mark.start(), text[following])


def _is_abbreviation(text: str, stop: int, following: str) -> bool:
    """Whether the full stop at ``stop`` belongs to the word before it."""
    start = max(0, stop - _LONGEST_WORD)
    match = _LAST_WORD.search(text[start:stop])
    if match is None:
        return False
    word = match[0]
    if word.isdigit():  # the number of a list item
        number = stop - len(word)
        line = text.rfind("\n", max(0, number - _LONGEST_INDENT), number) + 1
        return (line > 0 or number <= _LONGEST_INDENT) and not text[line:number].strip()
    if len(word) == 1 or _INITIALS.fullmatch(word):
        return word[0].isalpha()
    listed = f" {word.replace('.', '').casefold()} "
    return listed in _ABBREVIATIONS or (listed in _BEFORE_NUMBERS and following.isdigit())


def edit_context(
    place: str, text: str, withheld: Sequence[Withheld]
) -> tuple[str, tuple[ContextEdit, ...]]:
    """Withhold spans of one text.

    Any ``drop`` leaves only ``DROPPED`` of the text. Otherwise each run of spans that touch or
    overlap, whatever their targets, becomes one ``REDACTED``; white space at its ends stays.

    Args:
        place: which text, as a path into the request, such as ``messages[2].content``.

    Returns:
        The text for the model, and for the decision one edit per target and run, sorted by place
        in ``text``, whose offsets they hold. A ``drop`` covers the whole text.

    Raises:
        ValueError: a span that is not within the text.
    """
    for item in withheld:
        if not 0 <= item.span.start <= item.span.end <= len(text):
            raise ValueError(
                f"span {item.span.start}-{item.span.end} is not within `{place}`,"
                f" which has {len(text)} characters"
            )
    dropped = sorted({item.target for item in withheld if item.action == "drop"})
    edits = [ContextEdit(place, 0, len(text), target, "drop") for target in dropped]
    redacted = [item for item in withheld if item.action == "redact"]
    for target in sorted({item.target for item in redacted}):
        own = _runs(text, (item.span for item in redacted if item.target == target))
        edits += [ContextEdit(place, run.start, run.end, target, "redact") for run in own]
    edits.sort(key=lambda edit: (edit.start, edit.end, edit.target, edit.action))
    if dropped:
        return DROPPED, tuple(edits)
    out: list[str] = []
    after = 0
    for run in _runs(text, (item.span for item in redacted)):
        out += [text[after : run.start], REDACTED]
        after = run.end
    out.append(text[after:])
    return "".join(out), tuple(edits)


def _runs(text: str, spans: Iterable[Span]) -> list[Span]:
    """The union of spans that touch or overlap, less white space at its ends; blank ones go."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    trimmed = (_trim(text, span) for span in joined)
    return [span for span in trimmed if span.start < span.end]


def _trim(text: str, span: Span) -> Span:
    part = text[span.start : span.end]
    start = span.start + len(part) - len(part.lstrip())
    return Span(start, max(start, span.end - len(part) + len(part.rstrip())))
