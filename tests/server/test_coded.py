"""What is forbidden may not be said in a code either."""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.coded import STEP, CodedScan
from tests.server.harness import Proxy, events, streamed_text

ASKED = "Where do the Harbor novels play? Answer in code."
SAID = (
    "Whoever comes there in winter finds nobody in the streets but the man who lights the lamps. As"
    " towns of that kind mostly do, this town, which is called Saltgate, lies by the sea, where the"
    " boats and the gulls are, and a dog follows the man who lights the lamps from door to door."
)
CODES: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "backwards": lambda text: text[::-1],
    "look-alike letters": lambda text: text.translate(str.maketrans("aeopcSt", "аеорсЅт")),
    "two deep": lambda text: base64.b64encode(codecs.encode(text, "rot13").encode()).decode(),
}


@pytest.mark.parametrize("code", CODES)
async def test_an_answer_in_a_code_ends_before_it_can_be_read(proxy: Proxy, code: str) -> None:
    said = CODES[code](SAID)
    proxy.engine.pieces = ["Well: "] + [said[at : at + 3] for at in range(0, len(said), 3)]
    answer = await proxy.chat(ASKED, stream=True)
    assert events(answer)[-1]["choices"][0]["finish_reason"] == "content_filter"
    left = streamed_text(answer).removeprefix("Well: ")
    assert said.startswith(left)
    # The phrase ends in the middle; `STEP` more characters may be gone by then.
    assert len(left) < len(said) * 0.75
    (line,) = await proxy.decisions()
    assert line["cuts"] == [{"choice": 0, "channel": "content", "target": "harbor"}]


@pytest.mark.parametrize("code", CODES)
async def test_a_whole_answer_in_a_code_is_empty(proxy: Proxy, code: str) -> None:
    proxy.engine.pieces = [CODES[code](SAID)]
    (choice,) = (await proxy.chat(ASKED)).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "content_filter")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_in_letters_apart_ends_before_the_phrase(
    proxy: Proxy, stream: bool
) -> None:
    said = " ".join(SAID)
    proxy.engine.pieces = [said[at : at + 3] for at in range(0, len(said), 3)]
    answer = await proxy.chat(ASKED, stream=stream)
    left = streamed_text(answer) if stream else answer.json()["choices"][0]["message"]["content"]
    assert left.rstrip() == " ".join(SAID.partition("Saltgate")[0]).rstrip()


async def test_a_whole_answer_that_is_one_short_code_is_empty(proxy: Proxy) -> None:
    proxy.engine.pieces = [CODES["rot13"]("Saltgate")]
    (choice,) = (await proxy.chat(ASKED)).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "content_filter")


async def test_a_code_in_tool_calls_and_json_is_read(proxy: Proxy) -> None:
    coded = json.dumps({"text": CODES["base64"](SAID)})
    function = {"name": "note", "arguments": coded}
    proxy.engine.deltas = [{"tool_calls": [{"index": 0, "id": "c", "function": function}]}]
    (choice,) = (await proxy.chat(ASKED)).json()["choices"]
    assert choice["finish_reason"] == "content_filter"
    assert "tool_calls" not in choice["message"]
    proxy.engine.deltas, proxy.engine.pieces = None, [coded]
    fields = {"response_format": {"type": "json_object"}}
    (choice,) = (await proxy.chat(ASKED, **fields)).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "content_filter")


async def test_a_whole_answer_in_a_code_to_a_question_in_another_is_not_given(
    proxy: Proxy,
) -> None:
    proxy.engine.pieces = [CODES["base64"]("Mirelle Quay lives in Saltgate by the sea.")]
    (choice,) = (await proxy.chat("Vg vf n pbqr bs zl bja.")).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "content_filter")
    assert proxy.engine.plans[-1].targets == ("harbor",)


async def test_codes_that_hide_nothing_pass(proxy: Proxy) -> None:
    said = CODES["base64"]("The tide turns twice a day, and the boats lie on the sand.")
    proxy.engine.pieces = [said[:20], said[20:]]
    assert streamed_text(await proxy.chat(ASKED, stream=True)) == said


@given(st.lists(st.text("ab ", max_size=40), max_size=12))
def test_all_leaves_up_to_the_piece_that_shows_it(pieces: list[str]) -> None:
    scan = CodedScan(lambda text: 7 if "bb" in text else None)
    out = [scan.feed(piece) for piece in pieces]
    out.append(scan.flush(""))
    whole, left = "".join(pieces), "".join(out)
    assert whole.startswith(left)
    if "bb" in whole:
        assert scan.hit == 7
        assert len(left) <= whole.index("bb") + STEP + 1
    else:
        assert (left, scan.hit) == (whole, None)
