"""A vocabulary's ranges hold just the tokens that a look at each token would find."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.engine.lexicon import (
    TOKEN_INSIDE,
    TOKEN_START,
    Lexicon,
    RaggedSymbols,
    Ranges,
    build_lexicon,
)
from guard.engine.symbols import symbol_vocabulary
from guard.hashing import finish, salts
from guard.normalise import SEP, fold_bytes
from guard.phrases import ENOUGH_LETTERS, MAX_WORD_SYMBOLS, letters_of

tokens = st.text("aAbé .,東", max_size=9).map(str.encode)


def in_range(lexicon: Lexicon, ranges: Ranges, salt: int, text: str) -> set[int]:
    symbols = RaggedSymbols.of([text])
    key = finish(
        symbols.prefix_hashes(symbols.offset[:1], len(text))[:, -1] + salts(99, salt)[[len(text)]]
    )
    place = ranges.table.find(key)[0]
    if place < 0:
        return set()
    found = lexicon.order[ranges.low[place] : ranges.high[place]].tolist()
    assert len(found) == len(set(found))
    return set(found)


def closes(text: str, end: int, letters_alone: bool) -> bool:
    return letters_alone or (text[end - 1] != SEP and text[end : end + 1] in ("", SEP))


@settings(max_examples=60, deadline=None)
@given(st.lists(tokens, min_size=1, max_size=12), st.booleans())
def test_ranges_equal_a_look_at_each_token(vocabulary: list[bytes], letters_alone: bool) -> None:
    lexicon = build_lexicon(symbol_vocabulary(vocabulary), letters_alone=letters_alone)
    readings = [fold_bytes(data) for data in vocabulary]
    if letters_alone:
        readings = [letters_of(text) for text in readings]
    parts = {
        text[a:b]
        for text in readings
        for a in range(len(text))
        for b in range(a + 1, len(text) + 1)
    }
    for part in parts:
        starting = {
            token
            for token, text in enumerate(readings)
            if text.startswith(part) and closes(text, len(part), letters_alone)
        }
        if letters_alone or len(part) <= MAX_WORD_SYMBOLS:
            assert in_range(lexicon, lexicon.start, TOKEN_START, part) == starting, part
        matchable = (
            len(part) >= ENOUGH_LETTERS
            if letters_alone
            else part[0] == SEP and 2 <= len(part) <= MAX_WORD_SYMBOLS
        )
        if matchable:
            inside = {
                token
                for token, text in enumerate(readings)
                for begin in range(1, len(text))
                if text.startswith(part, begin) and closes(text, begin + len(part), letters_alone)
            }
            assert in_range(lexicon, lexicon.inside, TOKEN_INSIDE, part) == inside, part


@pytest.mark.parametrize("letters_alone", [True, False])
def test_a_vocabulary_without_text_has_no_ranges(letters_alone: bool) -> None:
    lexicon = build_lexicon(symbol_vocabulary([b"", b""]), letters_alone=letters_alone)
    assert (len(lexicon.order), lexicon.longest) == (0, 0)
