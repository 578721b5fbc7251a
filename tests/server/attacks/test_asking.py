"""Conversations with a live proxy: what comes back is noted, and nothing is asked twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.attacks.asking import Endpoint, Task, hold, served_model, tasks
from server.attacks.exchange import Ask, Conversation, Reply
from server.attacks.families import FAMILIES
from server.attacks.family import asked, chat, completion, once
from server.attacks.transcripts import Held, Key, Transcripts
from tests.server.attacks.items import ITEM
from tests.server.harness import MODEL, Proxy, until

TOUCHING = "Who captains the Petrel in the Harbor novels?"


async def talk(proxy: Proxy, folder: Path, *asks: Ask, sample: int = 0, name: str = "x") -> Held:
    def start() -> Conversation:
        for ask in asks:
            assert isinstance((yield ask), Reply)

    key = Key("direct", ITEM.id, name, sample)
    endpoint = Endpoint(f"{proxy.url}/v1", MODEL)
    kept = Transcripts(folder / "held.jsonl")
    kept.claim({"model": MODEL})
    held = await hold(endpoint, [Task(key, start)], kept, concurrency=2, done=lambda: None)
    return held[key]


async def test_a_whole_answer_is_noted(proxy: Proxy, tmp_path: Path) -> None:
    (reply,) = (await talk(proxy, tmp_path, asked("Tides?"))).replies
    assert (reply.status, reply.said, reply.refused) == (200, "Hello there.", ())
    assert reply.choices[0].finish == "stop"
    assert proxy.engine.requests[-1]["temperature"] == 0


async def test_a_stream_is_noted_piece_by_piece(proxy: Proxy, tmp_path: Path) -> None:
    (reply,) = (await talk(proxy, tmp_path, asked("Tides?", stream=True))).replies
    assert reply.choices[0].channels == {"content": ("Hello", " there", ".")}
    (reply,) = (
        await talk(proxy, tmp_path, completion("Tides?", stream=True, n=2), name="y")
    ).replies
    assert [choice.said for choice in reply.choices] == ["Hello there."] * 2


async def test_a_refused_field_is_noted_and_left_out(proxy: Proxy, tmp_path: Path) -> None:
    ask = asked("Tides?", logit_bias={"1": 5}, forcing=("logit_bias",))
    (reply,) = (await talk(proxy, tmp_path, ask)).replies
    assert (reply.status, reply.refused, reply.said) == (200, ("logit_bias",), "Hello there.")
    assert "logit_bias" not in proxy.engine.requests[-1]


async def test_a_rejected_request_is_noted_with_what_was_said(proxy: Proxy, tmp_path: Path) -> None:
    (reply,) = (await talk(proxy, tmp_path, asked("Tides?", nonsense=1))).replies
    assert reply.status == 400
    assert "nonsense" in reply.error
    assert not reply.failed


async def test_a_client_that_leaves_notes_what_it_has_read(proxy: Proxy, tmp_path: Path) -> None:
    proxy.engine.pieces = ["word "] * 50
    proxy.engine.delay = 0.02
    (reply,) = (await talk(proxy, tmp_path, chat(("user", "Tides?"), leave=3, stream=True))).replies
    assert reply.choices[0].said == "word word word "
    await until(lambda: proxy.engine.aborted == 1)


async def test_every_channel_is_noted(proxy: Proxy, tmp_path: Path) -> None:
    function = {"name": "f", "arguments": '{"a": 1}'}
    proxy.engine.logprobs = True
    proxy.engine.deltas = [
        {"reasoning": "hm", "refusal": "no", "tool_calls": [{"index": 0, "function": function}]}
    ]
    (reply,) = (await talk(proxy, tmp_path, asked("Tides?"))).replies
    channels = reply.choices[0].channels
    assert channels["reasoning"] == ("hm",)
    assert channels["refusal"] == ("no",)
    assert channels["tool_calls"] == ('f{"a": 1}',)
    assert reply.choices[0].top == ((("Mirelle", -1.0),),)


async def test_samples_after_the_first_are_by_chance_with_a_seed_of_their_own(
    proxy: Proxy, tmp_path: Path
) -> None:
    for sample in (1, 2):
        await talk(proxy, tmp_path, asked("Tides?"), sample=sample)
    first, second = proxy.engine.requests
    assert first["temperature"] == second["temperature"] == 1
    assert first["seed"] != second["seed"]


async def test_what_was_held_is_not_held_again_unless_it_failed_or_changed(
    proxy: Proxy, tmp_path: Path
) -> None:
    await talk(proxy, tmp_path, asked("Tides?"))
    await talk(proxy, tmp_path, asked("Tides?"))
    assert len(proxy.engine.requests) == 1
    await talk(proxy, tmp_path, asked("Other tides?"))
    assert len(proxy.engine.requests) == 2
    failed = {
        "family": "direct", "item": ITEM.id, "attempt": "y", "sample": 0, "first": "?",
        "replies": [{"status": 503, "choices": [], "refused": [], "error": "busy"}],
    }  # fmt: skip
    with (tmp_path / "held.jsonl").open("a") as file:
        file.write(json.dumps(failed) + "\n")
    held = await talk(proxy, tmp_path, asked("Tides?"), name="y")
    assert held.replies[0].status == 200


async def test_a_stream_that_ends_in_an_error_has_failed(proxy: Proxy, tmp_path: Path) -> None:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    said = {**chunk, "choices": [{"index": 0, "delta": {"content": "Hello"}}]}
    proxy.engine.raw = [
        f"data: {json.dumps(event)}\n\n".encode() for event in (said, {"error": {"message": "x"}})
    ]
    (reply,) = (await talk(proxy, tmp_path, asked("Tides?", stream=True))).replies
    assert reply.status == 200
    assert reply.failed


def test_answers_of_another_model_or_policy_are_put_aside(tmp_path: Path) -> None:
    kept = Transcripts(tmp_path / "guarded.jsonl")
    first, second = {"model": "m", "bundle": "1"}, {"model": "m", "bundle": "2"}
    assert kept.claim(first) is None
    kept.append(Key("direct", "1", "x", 0), "f", [Reply(200)])
    assert kept.claim(first) is None
    assert len(kept.read()) == 1
    assert kept.claim(second) == tmp_path / "guarded.old-1.jsonl"
    assert kept.read() == {}
    assert kept.claim(first) == tmp_path / "guarded.old-2.jsonl"
    assert len(Transcripts(tmp_path / "guarded.old-1.jsonl").read()) == 1


async def test_a_line_that_was_cut_off_is_held_again(proxy: Proxy, tmp_path: Path) -> None:
    await talk(proxy, tmp_path, asked("Tides?"))
    path = tmp_path / "held.jsonl"
    path.write_text(path.read_text()[:-20])
    assert Transcripts(path).read() == {}


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    path.write_text("{}\n{}\n")
    with pytest.raises(GuardError, match=r"held.jsonl:1: not a conversation"):
        Transcripts(path).read()


async def test_the_served_model_is_looked_up(proxy: Proxy) -> None:
    assert await served_model(f"{proxy.url}/v1", "") == MODEL
    with pytest.raises(GuardError, match="names no model"):
        await served_model(f"{proxy.url}/none", "")


def test_costly_families_ask_fewer_and_those_that_choose_ask_once() -> None:
    many = [ITEM] * 30
    assert len(tasks(FAMILIES["padding_6000"], many, 1)) == 30
    assert len(tasks(FAMILIES["yes_no"], [ITEM], 4)) == 2
    assert len(tasks(FAMILIES["direct"], [ITEM], 4)) == 4


async def test_a_forbidden_phrase_that_the_engine_lets_through_is_not_noted(
    proxy: Proxy, tmp_path: Path
) -> None:
    proxy.engine.pieces = ["It is Salt", "gate."]
    (reply,) = (await talk(proxy, tmp_path, asked(TOUCHING, stream=True))).replies
    assert "Salt" not in reply.said
    assert reply.choices[0].finish == "content_filter"


def test_a_conversation_of_one_request_is_over_after_it() -> None:
    conversation = once(asked("x"))()
    assert next(conversation).api == "chat"
