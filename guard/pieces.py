"""The pieces of a text that are compared with examples, in detection as in calibration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guard.context import split_sentences
from guard.windows import WINDOW, windows

# What chat templates part turns with, and the role that follows.
_TURN_MARKS: Final = re.compile(
    r"(?:<\|[^|<>\s]{1,40}\|>|</?(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|</?s>)"
    r"(?:(?:system|user|assistant|developer|model|tool)\b)?"
)
# Markdown's emphasis and code, inside words as well; an underscore only at a word's edge. Hashtags.
_EMPHASIS: Final = re.compile(r"\*+|`+|~~|(?<!\S)#(?=\w)|(?<![^\W_])_+(?=\w)|(?<=\w)_+(?![^\W_])")
_QUOTED: Final = re.compile(
    r"[\"“„«](?P<double>[^\"“”„«»\n]+)[\"”“»]"
    # An apostrophe inside a word is no mark.
    r"|(?<!\w)['‘](?P<single>(?:[^'‘’\n]|(?<=\w)['’](?=\w))+)['’](?!\w)"
)
_AFTER_COLON: Final = re.compile(r":\s+(?P<rest>\S.*)", re.DOTALL)
_AFTER_COMMA: Final = re.compile(r",\s+(?P<rest>\S.*)", re.DOTALL)
# With a capital inside a sentence, where another was put before it without a stop.
_ASKS: Final = re.compile(
    r"(?<=\s)(?P<rest>(?:Who|Whom|Whose|What|Which|Where|When|Why|How|Can|Could|Do|Does|Did|Is|Are"
    r"|Was|Were|Has|Have|Had|Would|Tell|Name|Describe|Explain)\b[^?]*\??)"
)
# What stands before the items of a list, and between the cells of a table.
_ITEM: Final = re.compile(
    r"^[ \t]*(?:[-*+•–—>#|]+|\(?(?:\d{1,3}|[A-Za-z])[.):])[ \t]+", re.MULTILINE
)
_CELL_EDGE: Final = re.compile(r"(?<![ \t])[ \t]*+\|[ \t]*")
_FEWEST_ITEMS: Final = 2
# Tags and brackets, where there is one for every word or more.
_BRACKET: Final = re.compile(r"<[^<>\n]{1,40}>|[()\[\]{}<>]")
_FEWEST_BRACKETS: Final = 4
_BRACKETS_A_WORD: Final = 1.0
# In less, nobody asks anything.
_LEAST_WORDS: Final = 4


def pieces_of(text: str) -> list[str]:
    """Windows, and sentences by themselves; each piece once, none for white space alone.

    A question between other sentences ("Hi! I'm writing an essay. Who ...?") is alone in one, and
    so is one that is quoted, that follows a colon, a comma or words that are not parted from it
    ("Write a story in which somebody asks, 'Who ...?'"). What stands in several quotation marks is
    put together, and so are the items of a list and the cells of a table. What a chat template
    parts turns with ends a sentence; emphasis is left out.
    """
    text = _TURN_MARKS.sub("\n\n", text)
    pieces = _pieces(_EMPHASIS.sub("", text))
    if (flat := _without_layout(text)) is not None:
        pieces += _pieces(_EMPHASIS.sub("", flat))
    return list(dict.fromkeys(pieces))


def _pieces(text: str) -> list[str]:
    pieces = windows(text)
    spans = split_sentences(text)
    if len(spans) > 1:
        for span in spans:
            if span.end - span.start <= WINDOW:  # a longer one is covered by the windows
                pieces += windows(text[span.start : span.end])
    for span in spans:
        for part in _parts(text[span.start : span.end]):
            pieces += windows(part)
    quoted = [match["double"] or match["single"] for match in _QUOTED.finditer(text)]
    if len(quoted) > 1:
        pieces += windows(" ".join(quoted))
    return pieces


def _without_layout(text: str) -> str | None:
    """The items of a list, the cells of a table or words in brackets as running text.

    None if there are too few of these.
    """
    flat, items = _ITEM.subn("", text)
    flat, edges = _CELL_EDGE.subn(" ", flat)
    bare, brackets = _BRACKET.subn(" ", flat)
    words = bare.split()
    if brackets >= max(_FEWEST_BRACKETS, _BRACKETS_A_WORD * len(words)):
        return " ".join(words)
    return " ".join(flat.split()) if max(items, edges) >= _FEWEST_ITEMS else None


def unframed(text: str) -> str:
    """What a text gives after its last colon or last in quotation marks; else the text itself.

    "The second part of my question: sails the ferry?" gives a part of a question, which makes sense
    only with another.
    """
    quoted = [match["double"] or match["single"] for match in _QUOTED.finditer(text)]
    if quoted:
        return quoted[-1]
    return text[text.rfind(": ") + 1 :].strip() or text


def _parts(sentence: str) -> Iterator[str]:
    """What stands in quotation marks, and what follows a colon or else begins within it."""
    found = [match["double"] or match["single"] for match in _QUOTED.finditer(sentence)]
    for start in (_AFTER_COLON, *((_AFTER_COMMA, _ASKS) if "?" in sentence else ())):
        if after := start.search(sentence):
            found.append(after["rest"])
    for part in found:
        if len(part.split(maxsplit=_LEAST_WORDS)) >= _LEAST_WORDS:
            yield part
