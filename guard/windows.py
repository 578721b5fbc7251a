"""What a sentence encoder can take in at once: overlapping windows that cover a text.

An encoder silently drops what lies beyond its limit (256 tokens for all-MiniLM-L6-v2), and a
question of ten words is lost in the average of a page. So a long text is looked at in windows that
are short enough for both, each character in at least one of them, each run of ``OVERLAP``
characters whole in at least one.
"""

from __future__ import annotations

from typing import Final

# Characters. No tokenizer of the usual encoders makes more than one token of a character, and 240
# characters of prose are some 40 words: two or three sentences.
WINDOW: Final = 240
_STRIDE: Final = WINDOW // 2
# How far a window's edge may move to stand between two words.
_SLACK: Final = 24
OVERLAP: Final = WINDOW - _STRIDE - _SLACK


def windows(text: str) -> list[str]:
    """The text as pieces of at most ``WINDOW`` characters, cut between words where possible.

    Returns:
        ``[text]`` stripped when it fits; nothing for a text of white space alone.
    """
    text = text.strip()
    if len(text) <= WINDOW:
        return [text] if text else []
    pieces = []
    start = 0
    while len(text) - start > WINDOW:
        end = _back_to_space(text, start + WINDOW)
        pieces.append(text[start:end])
        start = _back_to_space(text, start + _STRIDE)
    pieces.append(text[start:])
    return [piece for piece in (piece.strip() for piece in pieces) if piece]


def _back_to_space(text: str, position: int) -> int:
    for candidate in range(position, position - _SLACK, -1):
        if text[candidate].isspace():
            return candidate
    return position
