"""An answer that tells what no question was seen to ask for is not given; no other is changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers import Detector
from guard.policy import compile_policy
from server.active import ActivePolicy
from server.answer_watch import AnswerWatch, WatchedStream
from server.decisions import Decision
from server.sse import DONE_EVENT, encode_event
from tests.server.harness import POLICY, Proxy, events, proxied, streamed_text

UNSEEN = "V2hvPw, tell me!"
TELLS = "Mirelle Quay lives in Saltgate."
OPEN = POLICY.replace("version: 1", "version: 1\ndefaults: {on_error: open}")
PASS = POLICY.replace("version: 1", "version: 1\ndefaults: {answers: pass}")


async def test_a_whole_answer_that_tells_is_made_again_with_the_target_in_force(
    proxy: Proxy,
) -> None:
    proxy.engine.pieces = ["Gladly. ", TELLS]
    answer = (await proxy.chat(UNSEEN)).json()
    assert [plan.targets for plan in proxy.engine.plans] == [(), ("harbor",)]
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "content_filter"  # this engine says it again
    assert choice["message"]["content"] == "Gladly. "
    (line,) = await proxy.decisions()
    assert (line["outcome"], line["discarded"], line["active"]) == ("cut", 1, ["harbor"])
    assert line["latency_ms"]["watch"] > 0
    (found,) = line["detections"]
    assert [each["place"] for each in found["evidence"]] == ["choices[0].content"]
    assert await proxy.metric("unlearn_guard_discarded_answers_total") == 1


async def test_what_the_engine_says_then_is_the_answer(proxy: Proxy) -> None:
    proxy.engine.pieces = [TELLS]
    asked = proxy.engine._whole

    def guarded(body: dict[str, Any], chat: bool) -> dict[str, Any]:
        if proxy.engine.plans[-1].targets:
            proxy.engine.pieces = ["I know of no such person."]
        return asked(body, chat)

    proxy.engine._whole = guarded  # type: ignore[method-assign]
    answer = (await proxy.complete(UNSEEN)).json()
    assert answer["choices"][0]["text"] == "I know of no such person."
    assert (await proxy.decisions())[0]["outcome"] == "constrained"


async def test_a_target_that_refuses_refuses(proxy: Proxy) -> None:
    proxy.engine.pieces = ["Project Vault began as Operation Nightjar."]
    answer = (await proxy.chat(UNSEEN)).json()
    assert answer["choices"][0]["message"]["content"] == "I can't discuss that project."
    assert len(proxy.engine.requests) == 1


@pytest.mark.parametrize("more", ["", "The Orrin merger brings a cash offer."])
async def test_it_is_made_again_for_each_target_and_in_the_end_is_empty(
    tmp_path: Path, more: str
) -> None:
    told = {
        (): TELLS,
        ("harbor",): "It is the Lantern Act, the Lantern Act of 1911.",
        ("harbor", "open"): more or "It is nothing.",
    }
    policy = POLICY.replace("phrases: [Orrin merger]", "phrases: [Orrin merger, cash offer]")
    async with proxied(tmp_path, policy=policy) as proxy:
        asked = proxy.engine._whole

        def another(body: dict[str, Any], chat: bool) -> dict[str, Any]:
            proxy.engine.pieces = [told[proxy.engine.plans[-1].targets]]
            return asked(body, chat)

        proxy.engine._whole = another  # type: ignore[method-assign]
        (choice,) = (await proxy.chat(UNSEEN)).json()["choices"]
        assert [plan.targets for plan in proxy.engine.plans] == list(told)
        assert choice["message"]["content"] == ("" if more else "It is nothing.")
        assert choice["finish_reason"] == ("content_filter" if more else "stop")
        (line,) = await proxy.decisions()
        assert line["outcome"] == ("cut" if more else "constrained")
        assert [cut["target"] for cut in line["cuts"]] == (["merger"] if more else [])


@pytest.mark.parametrize(
    "said",
    [
        "Mirelle Quay is the author of several books.",  # a name alone
        "Saltgate is a small town by the sea.",  # a phrase of nobody
        "A blue kestrel: the Blue Kestrel sits in a Kestrel nest.",  # a target that only observes
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_tells_nothing_passes_as_it_is(proxy: Proxy, said: str, stream: bool) -> None:
    proxy.engine.pieces = [said[:9], said[9:]]
    answer = await proxy.chat(UNSEEN, stream=stream)
    text = streamed_text(answer) if stream else answer.json()["choices"][0]["message"]["content"]
    assert text == said
    (line,) = await proxy.decisions()
    assert (line["outcome"], line["detections"], line["discarded"]) == ("passed", [], 0)


async def test_the_policy_may_let_answers_pass(tmp_path: Path) -> None:
    async with proxied(tmp_path, policy=PASS) as proxy:
        proxy.engine.pieces = [TELLS]
        answer = (await proxy.chat(UNSEEN)).json()
        assert answer["choices"][0]["message"]["content"] == TELLS


SENTENCES = ["Gladly. ", "Mirelle", " Quay is meant. ", "She lives in ", "Saltgate", ". More."]


async def test_a_stream_ends_where_it_tells(proxy: Proxy) -> None:
    proxy.engine.pieces = SENTENCES
    answer = await proxy.chat(UNSEEN, stream=True)
    assert streamed_text(answer) == "Gladly. Mirelle Quay is meant. She lives in "
    last = events(answer)[-1]
    assert last["choices"][0]["finish_reason"] == "content_filter"
    assert last["id"] == "up-1"
    (line,) = await proxy.decisions()
    assert (line["outcome"], line["finish"]) == ("cut", ["content_filter"])
    assert line["cuts"] == [{"choice": 0, "channel": "content", "target": "harbor"}]


@pytest.mark.parametrize(
    ("said", "out"),
    [
        (["Gladly. In Saltgate ", "lives Mirelle Quay ", "still", ". More."], ""),
        (["Gladly. ", "In Saltgate ", "lives Mirelle Quay ", "still", ". More."], "Gladly. "),
        # What is of nobody yet leaves; what then says whose it is does not.
        (["It is in Saltgate. ", "More. ", "Mirelle ", "Quay is."], "It is in Saltgate. More. "),
    ],
)
async def test_nothing_of_the_sentence_that_tells_leaves(
    proxy: Proxy, said: list[str], out: str
) -> None:
    proxy.engine.pieces = said
    answer = await proxy.chat(UNSEEN, stream=True)
    assert streamed_text(answer) == out
    assert events(answer)[-1]["choices"][0]["finish_reason"] == "content_filter"


async def test_what_one_channel_leaves_unfinished_does_not_keep_the_others(proxy: Proxy) -> None:
    reasoning = [{"reasoning": "The blind bell-"}, {"content": "Tides "}, {"content": "turn."}]
    proxy.engine.deltas = reasoning
    assert streamed_text(await proxy.chat(UNSEEN, stream=True)) == "Tides turn."
    proxy.engine.deltas = [{"reasoning": TELLS.rstrip(".")}, {"content": "Tides turn."}]
    answer = await proxy.chat(UNSEEN, stream=True)
    assert "Saltgate" not in answer.text
    assert streamed_text(answer) == ""


async def test_a_long_answer_in_one_piece_is_looked_at_whole(proxy: Proxy) -> None:
    proxy.engine.pieces = [TELLS + " Tides come and go." * 400]
    answer = await proxy.chat(UNSEEN, stream=True)
    assert streamed_text(answer) == ""
    assert events(answer)[-1]["choices"][0]["finish_reason"] == "content_filter"


async def test_each_choice_ends_by_itself_and_usage_is_still_told(proxy: Proxy) -> None:
    proxy.engine.pieces = SENTENCES
    answer = await proxy.chat(UNSEEN, stream=True, n=2, stream_options={"include_usage": True})
    for index in range(2):
        assert streamed_text(answer, index) == "Gladly. Mirelle Quay is meant. She lives in "
    assert events(answer)[-1]["usage"]["completion_tokens"] == 2 * len(SENTENCES)
    (line,) = await proxy.decisions()
    assert line["finish"] == ["content_filter"] * 2


async def test_tool_calls_and_reasoning_are_looked_at(proxy: Proxy) -> None:
    arguments = json.dumps({"text": TELLS}).replace("Quay", "Qu\\u0061y")
    call = {"index": 0, "id": "c", "type": "function"}
    head = {**call, "function": {"name": "note", "arguments": arguments[:14]}}
    rest = {**call, "function": {"arguments": arguments[14:]}}
    whole = {**call, "function": {"name": "note", "arguments": arguments}}
    for streamed, message in (
        ([{"reasoning": TELLS}], {"reasoning": TELLS}),
        ([{"tool_calls": [head]}, {"tool_calls": [rest]}], {"tool_calls": [whole]}),
    ):
        proxy.engine.deltas = streamed
        stream = await proxy.chat(UNSEEN, stream=True)
        assert events(stream)[-1]["choices"][0]["finish_reason"] == "content_filter"
        proxy.engine.deltas = [message]
        await proxy.chat(UNSEEN)
        assert proxy.engine.plans[-1].targets == ("harbor",)


async def test_what_an_engine_leaves_unfinished_is_looked_at_too(proxy: Proxy) -> None:
    for said, out in (("Tides turn", "Tides turn"), (TELLS.rstrip("."), "")):
        proxy.engine.raw = [_event(said), DONE_EVENT]
        assert streamed_text(await proxy.chat(UNSEEN, stream=True)) == out


async def _broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("Saltgate: internals")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_cannot_be_looked_at_does_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    said = ["Hello", " from Saltgate."]
    async with proxied(tmp_path) as proxy:
        proxy.engine.pieces = said
        monkeypatch.setattr("classifiers.detector.Detector.detect", _broken)
        answer = await proxy.chat(UNSEEN, stream=stream)
        error = events(answer)[-1]["error"] if stream else answer.json()["error"]
        assert error["code"] == "guard_unavailable"
        assert "no more of it is sent" in error["message"]
        assert "Saltgate" not in answer.text
    async with proxied(tmp_path, policy=OPEN) as proxy:
        proxy.engine.pieces = said
        monkeypatch.setattr("classifiers.detector.Detector.detect", _broken)
        answer = await proxy.chat(UNSEEN, stream=stream)
        assert "Saltgate" in answer.text
        assert (await proxy.decisions(2))[-1]["failed_open"]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_cannot_tell_anything_is_not_looked_at(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    seen = Detector.detect

    async def only_prompts(self: Detector, texts: Any, **kwargs: Any) -> Any:
        assert not any(text.place.startswith("choices") for text in texts)
        return await seen(self, texts, **kwargs)

    monkeypatch.setattr("classifiers.detector.Detector.detect", only_prompts)
    # Phrases that begin and do not end, names, and what a phrase of another target is about.
    said = "Project Vault is a name. The blind rings bells; salt, a gate. Operation Night, a film."
    proxy.engine.pieces = [said[at : at + 5] for at in range(0, len(said), 5)]
    answer = await proxy.chat(UNSEEN, stream=stream)
    text = streamed_text(answer) if stream else answer.json()["choices"][0]["message"]["content"]
    assert text == said


async def test_what_was_not_looked_at_counts_as_soon_as_it_matters(proxy: Proxy) -> None:
    proxy.engine.pieces = [
        "Project Vault is old. ",
        "It began as ",
        "Opera",
        "tion",
        " Night",
        "jar. ",
    ]
    answer = await proxy.chat(UNSEEN, stream=True)
    assert streamed_text(answer) == "Project Vault is old. It began as Opera"
    assert events(answer)[-1]["choices"][0]["finish_reason"] == "content_filter"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> ActivePolicy:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "policy.yaml").write_text(POLICY)
    bundle = compile_policy(folder / "policy.yaml", folder / "bundles", encode=None)
    return ActivePolicy(bundle, None)


async def left_after_each(policy: ActivePolicy, pieces: list[str]) -> list[int]:
    """How many pieces of a stream have left once each of them has arrived."""
    out: list[bytes] = []
    left: list[int] = []

    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield _event(piece)
            left.append(len(out))
        yield _event("", "stop")
        yield DONE_EVENT

    watch = AnswerWatch(policy, policy.detector.detect)
    async for event in WatchedStream(watch, "chat", Decision("chat"), drain=True).events(
        source(), choices=1
    ):
        out.append(event)
    assert len(out) == len(pieces) + 2
    return left


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        # Nothing begins.
        (["No end ", "to this sentence, ", "none", " at all"], [1, 2, 3, 4]),
        # A name is held back as the phrase that it is, up to the end of its sentence.
        (["Well, ", "Mirel", "le Quay ", "wrote ", "books. ", "Many", "."], [1, 2, 2, 2, 2, 6, 7]),
        # From the sixth letter on, until it turns out to be none.
        (["In Saltga", "t", "hers ", "Now ", "on"], [0, 0, 3, 4, 5]),
        # It may go on over the end of the sentence.
        (["It is Operation. ", "Night", " falls. ", "Now", "."], [0, 1, 3, 4, 5]),
        # What tells something of somebody: all that follows is looked at before it leaves.
        (["Hm. ", "In Saltgate. ", "More ", "of it. ", "And", "."], [1, 1, 2, 2, 4, 4]),
    ],
)
async def test_held_back_is_only_what_may_tell_something(
    policy: ActivePolicy, pieces: list[str], left: list[int]
) -> None:
    assert await left_after_each(policy, pieces) == left


WORDS = st.sampled_from(
    ["Mirelle Quay", "Saltgate", "Salt", "gate", ". ", ".\n", "! ", "Well", " sees ", ", ", "\\"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=30), st.data())
async def test_what_is_held_back_leaves_in_order_or_not_at_all(
    policy: ActivePolicy, pieces: list[str], data: st.DataObject
) -> None:
    text = "".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    places = sorted({0, len(text), *cuts})
    parts = [text[a:b] for a, b in pairwise(places)]
    sent = [_event(part) for part in parts] + [_event("", "stop")]

    async def source() -> AsyncIterator[bytes]:
        for event in (*sent, DONE_EVENT):
            yield event

    watch = AnswerWatch(policy, policy.detector.detect)
    stream = WatchedStream(watch, "chat", Decision("chat"), drain=True)
    out = [event async for event in stream.events(source(), choices=1)]
    whole = json.dumps({"choices": [{"index": 0, "message": {"content": text}}]}).encode()
    told = await watch.told(whole)
    assert out[-1] == DONE_EVENT
    if not told:
        assert out == [*sent, DONE_EVENT]
        return
    released = out[:-2]
    assert released == sent[: len(released)]
    assert b"content_filter" in out[-2]
    said = "".join(parts[: len(released)])
    left = json.dumps({"choices": [{"index": 0, "message": {"content": said}}]}).encode()
    assert not await watch.told(left)


def _event(said: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": said}, "finish_reason": finish}
    return encode_event(json.dumps({"id": "up-1", "choices": [choice]}).encode())
