"""Each kind of view by itself: what it reads, and what it leaves alone."""

from __future__ import annotations

import base64
import html
import json
import random
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.views.bits import decoded
from guard.views.escapes import unescaped
from guard.views.leet import unleeted
from guard.views.lookalikes import as_latin, confusables, plain
from guard.views.readable import reads_as_text
from guard.views.spaced import joined
from guard.views.view import GAP, View
from guard.views.words import sections_turned

PRINTABLE = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc", "Cn")), min_size=12
)


@given(PRINTABLE, st.sampled_from(["", "x", "ab", "abc"]))
def test_any_printable_text_is_decoded_from_base64_at_any_offset(text: str, before: str) -> None:
    code = base64.b64encode(text.encode()).decode()
    assert any(text in view.text for view in decoded(View.of(before + code)))


@given(PRINTABLE, st.sampled_from(["", " ", ":", ", "]))
def test_any_printable_text_is_decoded_from_hexadecimal(text: str, between: str) -> None:
    code = between.join(f"{byte:02x}" for byte in text.encode())
    assert any(text in view.text for view in decoded(View.of(code)))


@given(st.integers(0, 2**32))
def test_bytes_at_random_are_dropped_but_for_rare_accidents(seed: int) -> None:
    noise = random.Random(seed).randbytes(600)
    for code in (base64.b64encode(noise).decode(), noise.hex()):
        views = list(decoded(View.of(code)))
        assert sum(len(view.text) for view in views) <= 80
        assert not any(reads_as_text(part) for view in views for part in view.text.split(GAP))


@pytest.mark.parametrize("name", ["Rowling", "Hogwarts"])
@pytest.mark.parametrize("template", ["{}", "say {} now", '"{}"'])
def test_a_short_code_counts_if_it_stands_alone(name: str, template: str) -> None:
    code = base64.b64encode(name.encode()).decode()
    assert [view.text for view in decoded(View.of(template.format(code)))] == [name]
    assert name not in {view.text for view in decoded(View.of(f"ab{code}"))}


@given(st.text(max_size=20))
def test_escapes_are_read_as_the_standard_library_reads_them(text: str) -> None:
    text = text.replace("\\", "").replace("&", "").replace("%", "")
    for written, read in (
        (quote(text, safe=""), text),
        (html.escape(text), text),
        (json.dumps(text)[1:-1], None),
    ):
        views = [view.text for view in unescaped(View.of(written))]
        if read is not None:
            assert (views[-1] if views else written) == read
        elif "\\u" in written and not set(written) & set('"\n\r\t\b\f'):
            assert text in views or "\\" in views[-1]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("H o g w a r t s", "Hogwarts"),
        ("H.o.g.w.a.r.t.s.", "Hogwarts."),
        ("H-o-g w-a-r", "Hog war"),
        ("it is T_h_e  R_e_d H_o_u_s_e now", "it is The Red House now"),
        ("a\nb\nc\nd", "abcd"),
    ],
)
def test_spaced_letters_are_joined(text: str, read: str) -> None:
    assert [view.text for view in joined(View.of(text))] == [read]


@pytest.mark.parametrize("text", ["1 2 3 4 5", "I am a b", "x = y", "a, bc, d", "", "U.S.A. now"])
def test_other_letters_are_left_apart(text: str) -> None:
    assert list(joined(View.of(text))) == []


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("V0ld3m0rt!", "Voldemort!"),
        ("H@rry P0tt3r", "Harry Potter"),
        ("$n4p3", "snape"),
        ("M1r3ll3", "Mirelle"),
        ("wh|ch", "which"),
    ],
)
def test_leetspeak_is_read(text: str, read: str) -> None:
    assert read in [view.text for view in unleeted(View.of(text))]


@pytest.mark.parametrize("text", ["Hello!", "12345", "a | b", "1st, 2nd and 3rd", "x + y", "50%"])
def test_other_digits_and_signs_are_left(text: str) -> None:
    assert list(unleeted(View.of(text))) == []


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Ноgwаrtѕ", "Hogwarts"),  # Cyrillic
        ("Ηοgwarτs", "Hogwarts"),  # Greek
        ("ʜᴏɢᴡᴀʀᴛs", "hogwarts"),  # small capitals
        ("Ħøǥwārŧş", "Hogwarts"),  # strokes and tails
        ("🅷🅾🅶🆆🅰🆁🆃🆂", "HOGWARTS"),
        ("𝓗𝓸𝓰𝔀𝓪𝓻𝓽𝓼", "Hogwarts"),  # mathematical
        ("Ｈｏｇｗａｒｔｓ", "Hogwarts"),  # full-width
        ("H\u00ado\u200bg\u2060w\ufeffarts", "Hogwarts"),
    ],
)
def test_look_alikes_are_read_as_latin(text: str, read: str) -> None:
    seen = plain(View.of(text))
    latin = next(as_latin(seen), seen).text
    stripped = unicodedata.normalize("NFD", latin)
    assert "".join(char for char in stripped if not unicodedata.combining(char)) == read


def test_each_look_alike_is_one_latin_letter_and_none_is_ascii() -> None:
    table = confusables()
    assert len(table) > 500
    for code, latin in table.items():
        assert code > 0x7F
        assert chr(latin).isascii()
        assert chr(latin).isalpha()


def test_words_of_another_script_are_not_a_disguise() -> None:
    for text in ("Кто написал эту книгу о море?", "Ποιος έγραψε αυτό το βιβλίο;", "naïve café"):
        assert [part for view in as_latin(View.of(text)) for part in view.readable] == []


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("Who is the captain of the ship?", True),
        ("Кто капитан этого корабля?", True),
        ("谁是这艘船的船长谁写了这本书", True),
        ("Wer ist der Kapitän?", True),
        ("kF7x Qz!pLw vBn", False),
        ("QWRTPSDFGHJKLZXCVBNM QWRTP", False),
        ("aВбδ東หกเ한ãœψжфющ", False),
        ('{"alg":"HS256","typ":"JWT"}', False),
        ("short", False),
        ("", False),
    ],
)
def test_what_reads_as_text(text: str, reads: bool) -> None:
    assert reads_as_text(text) == reads


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("decode: Who is in the house? thanks", [" Who is in the house"]),
        ("decode: Wer ist in dem Haus? thanks", [" Wer ist in dem Haus"]),
        ("vs gur sver vf bhg", []),
        ("", []),
    ],
)
def test_only_what_has_more_common_words_so_was_turned(text: str, read: list[str]) -> None:
    for kind in ("rot13", "reversed"):
        assert [text[s.start : s.end] for s in sections_turned(text, kind)] == read


def test_words_that_are_common_both_ways_do_not_count() -> None:
    assert sections_turned("Rewrite Red Riding Hood as a report"[::-1], "reversed") == []
