"""Endpoints are asked once for each request, again when busy, and never for what is kept."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.evaluation import asking
from server.evaluation.asking import Endpoint, ask, bearer, find_endpoint, identify
from server.evaluation.requests import Answer, Request, chat, completion
from server.evaluation.transcripts import Transcript, read
from tests.server.evaluation.endpoints import Scripted, serving

ASKED = [chat(f"Question {n}?", max_tokens=8) for n in range(20)]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_WAITS_S", (0.0, 0.0, 0.0))


def asked(endpoint: Scripted, requests: list[Request], file: Path) -> Transcript:
    with Transcript(file, {"model": "scripted"}) as kept:
        asyncio.run(ask(Endpoint(endpoint.url, "scripted"), requests, kept, concurrency=4))
    return kept


def test_every_answer_is_kept_and_asked_for_once(tmp_path: Path) -> None:
    endpoint = Scripted(lambda text, _: text.upper())
    file = tmp_path / "transcripts" / "guarded.jsonl"
    with serving(endpoint):
        asked(endpoint, [*ASKED, *ASKED], file)
        kept = asked(endpoint, ASKED, file)
    assert len(endpoint.bodies) == len(ASKED)
    answer = kept.get(ASKED[3])
    assert answer is not None
    assert (answer.text, answer.tokens, answer.finish) == ("QUESTION 3?", 4, ("stop",))
    assert answer.seconds > 0
    assert endpoint.bodies[0]["temperature"] == 0


def test_a_busy_endpoint_is_asked_again(tmp_path: Path) -> None:
    endpoint = Scripted(lambda text, _: "yes", statuses=[503, 429, 200])
    with serving(endpoint):
        kept = asked(endpoint, ASKED[:1], tmp_path / "a.jsonl")
    assert kept.get(ASKED[0]) is not None
    assert len(endpoint.bodies) == 3


def test_one_that_stays_away_ends_the_run_and_what_was_said_is_kept(tmp_path: Path) -> None:
    endpoint = Scripted(lambda text, _: "yes", statuses=[200] + [500] * 4)
    with (
        serving(endpoint),
        pytest.raises(GuardError, match="what was answered is kept"),
        Transcript(tmp_path / "a.jsonl", {}) as kept,
    ):
        asyncio.run(ask(Endpoint(endpoint.url, "m"), ASKED[:2], kept, concurrency=1))
    found = read(tmp_path / "a.jsonl")
    assert found is not None
    assert len(found[1]) == 1


def test_a_request_that_is_refused_is_an_answer(tmp_path: Path) -> None:
    endpoint = Scripted(lambda text, _: "yes", statuses=[400])
    with serving(endpoint):
        kept = asked(endpoint, ASKED[:1], tmp_path / "a.jsonl")
    answer = kept.get(ASKED[0])
    assert answer is not None
    assert (answer.texts, bool(answer.refused)) == ((), True)


def test_a_refusal_in_a_message_is_told_and_read(tmp_path: Path) -> None:
    endpoint = Scripted(lambda text, _: "", refusal="I can't discuss that.")
    with serving(endpoint):
        kept = asked(endpoint, ASKED[:1], tmp_path / "a.jsonl")
    answer = kept.get(ASKED[0])
    assert answer is not None
    assert answer.text == answer.refused == "I can't discuss that."


def test_an_api_without_completions_refuses_them_all(tmp_path: Path) -> None:
    endpoint = Scripted(lambda text, _: "yes", no_completions=True)
    with serving(endpoint):
        kept = asked(endpoint, [completion("Once")], tmp_path / "a.jsonl")
    answer = kept.get(completion("Once"))
    assert answer is not None
    assert answer.refused == "404"


def test_log_probabilities_of_a_prompt_are_kept_as_nats(tmp_path: Path) -> None:
    request = completion("one two three", prompt_logprobs=0, max_tokens=1)
    endpoint = Scripted(lambda text, _: "x")
    with serving(endpoint):
        kept = asked(endpoint, [request], tmp_path / "a.jsonl")
    answer = kept.get(request)
    assert answer is not None
    assert answer.nats == (2.0, 2.0)


def test_the_key_is_sent_and_never_kept(tmp_path: Path) -> None:
    endpoint = Scripted(lambda text, _: "yes")
    with serving(endpoint):
        found = asyncio.run(find_endpoint("guarded", f"{endpoint.url}/v1", "", "secret-key"))
        with Transcript(tmp_path / "a.jsonl", {"model": found.model}) as kept:
            asyncio.run(ask(found, ASKED[:1], kept, concurrency=1))
    assert endpoint.keys == ["Bearer secret-key"]
    assert "secret" not in (tmp_path / "a.jsonl").read_text() + repr(found)
    assert bearer("") == {}


def test_a_model_is_looked_up_or_must_be_chosen() -> None:
    one = Scripted(lambda text, _: "")
    two = Scripted(lambda text, _: "", models=("a", "b"), bundle="abc")
    with serving(one, two):
        found = asyncio.run(find_endpoint("guarded", one.url, "", ""))
        assert asyncio.run(identify(found)) == {"model": "scripted", "bundle": ""}
        with pytest.raises(GuardError, match=r"2 models \(a, b\).*`--guarded-model`"):
            asyncio.run(find_endpoint("guarded", two.url, "", ""))
        with pytest.raises(GuardError, match=r"serves no `c`, but a, b.*`--guarded-model`"):
            asyncio.run(find_endpoint("guarded", two.url, "c", ""))
        chosen = asyncio.run(find_endpoint("guarded", two.url, "b", ""))
        assert asyncio.run(identify(chosen)) == {"model": "b", "bundle": "abc", "guard": "1"}
    with pytest.raises(GuardError, match=r"`--guarded`.*does not answer"):
        asyncio.run(find_endpoint("guarded", one.url, "", ""))
    with pytest.raises(GuardError, match="no http"):
        asyncio.run(find_endpoint("guarded", "localhost", "", ""))


def test_answers_of_another_policy_are_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with Transcript(file, {"bundle": "one"}) as kept:
        kept.add(ASKED[0], Answer(("old",)))
    with Transcript(file, {"bundle": "two"}) as kept:
        assert kept.get(ASKED[0]) is None
    assert "old" in (tmp_path / "a.old-1.jsonl").read_text()
    with Transcript(file, {"bundle": "one"}):
        assert (tmp_path / "a.old-2.jsonl").exists()


def test_a_line_that_was_cut_off_is_asked_again_and_the_rest_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with Transcript(file, {}) as kept:
        for request in ASKED[:3]:
            kept.add(request, Answer(("x",)))
    whole = file.read_bytes()
    for cut in range(1, len(whole) - whole.rfind(b"\n", 0, -1) - 1):
        file.write_bytes(whole[:-cut])
        with Transcript(file, {}) as kept:
            assert [kept.get(r) is not None for r in ASKED[:3]] == [True, True, False]
            kept.add(ASKED[2], Answer(("again",)))
        found = read(file)
        assert found is not None
        assert len(found[1]) == 3


@pytest.mark.parametrize("text", ["{}\n", "no\n", '{"version": 9, "arm": {}}\n', "\n"])
def test_a_file_that_is_no_transcript_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(GuardError, match="not a transcript"):
        read(tmp_path / "a.jsonl")


def test_requests_that_differ_have_keys_that_differ() -> None:
    every = [
        chat("a"), chat("b"), completion("a"), chat("a", again=1), chat("a", timed=True),
        chat("a", max_tokens=1), chat([{"role": "system", "content": "a"}]),
    ]  # fmt: skip
    assert len({request.key for request in every}) == len(every)
    assert chat("a", x=1, y=2) == chat("a", y=2, x=1)
    answer = Answer(("a", "b"), ("stop",), "no", 3, 0.5, (0.25,))
    assert Answer.of_json(json.loads(json.dumps(answer.json()))) == answer
