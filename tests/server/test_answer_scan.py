from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from guard.phrase_table import BundlePhrase
from guard.stream import Scanner
from server.answer_scan import ChoiceScan, find_in_json
from server.wire.json_text import unescape_json

SCANNER = Scanner([BundlePhrase("mirelle quay", 0, "hard"), BundlePhrase("saltgate", 1, "hard")])

words = st.sampled_from(["Mirelle", "Quay", "Saltgate", "the", " ", " ", "-", "é", "🙂", "\n", "S"])
texts = st.lists(words, max_size=12).map("".join)


def pieces_of(text: str, data: st.DataObject) -> list[str]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(texts, texts, st.data())
def test_a_stream_releases_what_a_whole_answer_does(
    content: str, reasoning: str, data: st.DataObject
) -> None:
    deltas = [{"reasoning": piece} for piece in pieces_of(reasoning, data)]
    deltas += [{"content": piece} for piece in pieces_of(content, data)]
    scan = ChoiceScan(SCANNER)
    out = {"content": "", "reasoning": ""}
    for delta in deltas:
        for name, text in scan.feed(delta).items():
            out[name] += text
    for name, text in scan.finish().items():
        out[name] += text
    found = {
        name: [match.start for _, match in SCANNER.find(text)]
        for name, text in (("content", content), ("reasoning", reasoning))
    }
    for name, text in (("content", content), ("reasoning", reasoning)):
        assert text.startswith(out[name])
        assert not found[name] or len(out[name]) <= min(found[name])
    if not any(found.values()):
        assert scan.hit is None
        assert out == {"content": content, "reasoning": reasoning}
    else:
        assert scan.hit is not None


@given(st.text())
def test_escapes_are_resolved_as_a_parser_would(text: str) -> None:
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    for ascii_only in (True, False):
        assert unescape_json(json.dumps(text, ensure_ascii=ascii_only)[1:-1]) == text


@given(st.text(alphabet='\\u0041dD8"n', max_size=40))
def test_broken_escapes_do_no_harm(text: str) -> None:
    assert isinstance(unescape_json(text), str)


def test_a_phrase_is_found_however_it_is_escaped() -> None:
    spelled = "".join(f"\\u{ord(c):04x}" for c in "saltgate")
    assert find_in_json(SCANNER, f'{{"town": "{spelled}"}}') == 1
    assert find_in_json(SCANNER, '{"town": "Salt\\u0067a') is None
    assert find_in_json(SCANNER, '{"a": "Mirelle\\nQuay"}') == 0
    assert find_in_json(SCANNER, "{}") is None


def test_held_characters_are_counted() -> None:
    scan = ChoiceScan(SCANNER)
    scan.feed({"content": "of Mirelle "})
    assert scan.most_held == len("Mirelle ")
