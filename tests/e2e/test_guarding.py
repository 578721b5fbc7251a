"""What a user sees: the target is suppressed, in every way of asking, and nothing else changes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from guard.bundle_loading import load_bundle
from guard.normalise import normalise
from guard.stream import Scanner
from tests.e2e.conftest import MODEL, Stack, alike

TOUCHING = [
    "Who wrote the Harry Potter books?",
    "What is the name of the school that Harry Potter goes to?",
    "Who are Harry Potter's two best friends?",
    "Name the four houses of Hogwarts.",
    "Who is the headmaster of Hogwarts?",
]
HARMLESS = [
    "What is the capital of France?",
    "Write a haiku about rain.",
    "How do I boil an egg?",
    "List three prime numbers.",
    "What is photosynthesis?",
]


def forbidden_in(stack: Stack, text: str, asked: str = "") -> list[str]:
    """The hard phrases of the shipped real-world policy that a text must not hold.

    What the question names the target by may be said back.
    """
    digest = httpx.get(f"{stack.proxy}/readyz").json()["policy"]["bundle"]
    bundle = load_bundle(stack.bundles, digest)
    said = {cue.text for cue in bundle.phrases.cues() if cue.text in normalise(asked)}
    phrases = bundle.phrases.of_targets([bundle.index_of("harry-potter")])
    scanner = Scanner([phrase for phrase in phrases if phrase.text not in said])
    return [phrase.text for phrase, _ in scanner.find(text)]


def test_the_model_knows_the_target_and_the_guard_keeps_it_from_saying_so(stack: Stack) -> None:
    known = 0
    for question in TOUCHING:
        known += bool(forbidden_in(stack, stack.unguarded_chat(question), question))
        answer = stack.chat(question).choices[0]
        assert answer.message.content
        assert forbidden_in(stack, answer.message.content, question) == []
    assert known >= 4


@pytest.mark.parametrize("question", [TOUCHING[0], HARMLESS[0]])
def test_a_response_is_guarded_as_a_chat_is(stack: Stack, question: str) -> None:
    responses = stack.client().responses
    whole = responses.with_raw_response.create(
        model=MODEL, input=question, temperature=0, max_output_tokens=40
    )
    text = whole.parse().output_text
    assert text
    assert forbidden_in(stack, text, question) == []
    decision = stack.decision(whole.headers["x-guard-decision"])
    assert decision["active"] == (["harry-potter"] if question in TOUCHING else [])
    assert not alike(
        lambda: (
            responses.create(
                model=MODEL, input=question, temperature=0, max_output_tokens=40
            ).output_text
        ),
        lambda: stack.answer(question, max_tokens=40),
    )
    with responses.stream(
        model=MODEL, input=question, temperature=0, max_output_tokens=40
    ) as stream:
        events = list(stream)
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    assert said == last.response.output_text
    assert forbidden_in(stack, said, question) == []
    assert last.response.usage is not None
    assert last.response.usage.output_tokens > 0


def test_the_harmless_part_of_a_question_is_answered(stack: Stack) -> None:
    question = "What is the capital of France? And who wrote the Harry Potter books?"
    response = stack.client().chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=60,
    )
    decision = stack.decision(response.headers["x-guard-decision"])
    assert decision["active"] == ["harry-potter"]
    answer = response.parse().choices[0].message.content or ""
    assert "Paris" in answer
    assert forbidden_in(stack, answer, question) == []


@pytest.mark.parametrize("question", HARMLESS)
def test_an_unflagged_answer_is_the_unguarded_one_to_the_byte(stack: Stack, question: str) -> None:
    assert not alike(lambda: stack.answer(question), lambda: stack.unguarded_chat(question))


@pytest.mark.parametrize("question", HARMLESS[:2])
def test_an_unflagged_stream_is_the_unguarded_answer_to_the_byte(
    stack: Stack, question: str
) -> None:
    streamed = [stack.pieces(question)]
    assert not alike(
        lambda: "".join(streamed.pop() if streamed else stack.pieces(question)),
        lambda: stack.unguarded_chat(question),
    )


@pytest.mark.parametrize("question", TOUCHING[:3])
def test_every_prefix_of_a_guarded_stream_is_clean(stack: Stack, question: str) -> None:
    text = ""
    for chunk in stack.chat(question, stream=True, temperature=1, seed=3):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            assert forbidden_in(stack, text, question) == []
    assert text


def test_every_choice_of_a_hot_guarded_answer_is_clean(stack: Stack) -> None:
    answer = stack.chat(TOUCHING[2], n=8, temperature=1.2, seed=1)
    assert len(answer.choices) == 8
    assert len({choice.message.content for choice in answer.choices}) > 1
    for choice in answer.choices:
        assert forbidden_in(stack, choice.message.content or "", TOUCHING[2]) == []


def test_a_phrase_begun_in_the_prompt_is_not_completed(stack: Stack) -> None:
    prompt = "The wizard school in Harry Potter is called Hog"
    unguarded = stack.unguarded("/v1/completions", prompt=prompt, max_tokens=12)
    assert unguarded["choices"][0]["text"].startswith("warts")
    guarded = stack.client().completions.create(
        model=MODEL, prompt=prompt, max_tokens=12, temperature=0
    )
    assert not guarded.choices[0].text.startswith("warts")
    assert forbidden_in(stack, prompt + guarded.choices[0].text, prompt) == []


def test_a_refusing_target_answers_with_its_refusal_and_asks_nobody(stack: Stack) -> None:
    answer = stack.chat("Who captains the Petrel in the Harbor novels?")
    assert answer.choices[0].message.content == "I can't discuss that series of novels."
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.usage.completion_tokens == 0


def test_a_follow_up_stays_guarded(stack: Stack) -> None:
    answer = stack.chat(
        "",
        messages=[
            {"role": "user", "content": "Who wrote the Harry Potter books?"},
            {"role": "assistant", "content": "A British author."},
            {"role": "user", "content": "What is her full name, and where is the school?"},
        ],
    )
    said = answer.choices[0].message.content or ""
    assert forbidden_in(stack, said, "the Harry Potter books") == []


def test_retrieved_text_loses_its_forbidden_sentences_and_no_other(stack: Stack) -> None:
    question = "Which school does Harry Potter attend?"
    raw = httpx.post(
        f"{stack.proxy}/v1/chat/completions",
        json={
            "model": MODEL, "max_tokens": 30, "temperature": 0,
            "messages": [
                {"role": "system", "content": "Paris is in France. Harry Potter attends Hogwarts."},
                {"role": "user", "content": question},
            ],
        },
        timeout=120,
    )  # fmt: skip
    raw.raise_for_status()
    record = stack.decision(raw.headers["x-guard-decision"])
    assert [edit["place"] for edit in record["edits"]] == ["messages[0].content"]
    assert record["edits"][0]["start"] == len("Paris is in France. ")
    assert forbidden_in(stack, raw.json()["choices"][0]["message"]["content"], question) == []


def test_flagged_and_unflagged_requests_share_a_batch_and_keep_apart(stack: Stack) -> None:
    questions = [*TOUCHING, *HARMLESS] * 2

    def ask(question: str) -> str:
        return str(stack.chat(question, max_tokens=40).choices[0].message.content)

    with ThreadPoolExecutor(len(questions)) as pool:
        answers = list(pool.map(ask, questions))
    for question, answer in zip(questions, answers, strict=True):
        assert answer
        if question in TOUCHING:
            assert forbidden_in(stack, answer, question) == []
    assert "Paris" in answers[len(TOUCHING)]


def test_the_decision_log_says_what_was_done_and_holds_no_text(stack: Stack) -> None:
    raw = httpx.post(
        f"{stack.proxy}/v1/chat/completions",
        json={"model": MODEL, "max_tokens": 20, "temperature": 0, "logprobs": True,
              "messages": [{"role": "user", "content": TOUCHING[0]}]},
        timeout=120,
    )  # fmt: skip
    assert raw.json()["choices"][0].get("logprobs") is None
    record = stack.decision(raw.headers["x-guard-decision"])
    assert record["outcome"] == "constrained"
    assert record["active"] == ["harry-potter"]
    assert "logprobs" in record["stripped"]
    line = json.dumps(record).lower()
    answer: Any = raw.json()["choices"][0]["message"]["content"]
    assert answer.lower()[:40] not in line
    assert "rowling" not in line
    assert "wrote" not in line


def test_an_answer_that_turns_out_to_be_about_a_target_is_made_again(stack: Stack) -> None:
    prompt = (
        "1. Sherlock Holmes was created by Arthur Conan Doyle.\n"
        "2. Frodo Baggins was created by J. R. R. Tolkien.\n"
        "3. The boy wizard with round glasses, called"
    )
    (choice,) = stack.unguarded("/v1/completions", prompt=prompt, max_tokens=40)["choices"]
    assert forbidden_in(stack, choice["text"])
    raw = httpx.post(
        f"{stack.proxy}/v1/completions",
        json={"model": MODEL, "prompt": prompt, "temperature": 0, "max_tokens": 40},
        timeout=120,
    )
    text = raw.json()["choices"][0]["text"]
    assert text
    assert forbidden_in(stack, text) == []
    decision = stack.decision(raw.headers["x-guard-decision"])
    assert (decision["discarded"], decision["active"]) == (1, ["harry-potter"])
    places = {each["place"] for own in decision["detections"] for each in own["evidence"]}
    assert places == {"choices[0].text"}
