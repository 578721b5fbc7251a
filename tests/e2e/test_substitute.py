"""Asked about a target by name, the real model answers about that name, and knows nothing of it."""

from __future__ import annotations

import json

import httpx
import pytest

from guard.bundle import Bundle
from guard.bundle_loading import load_bundle
from guard.normalise import normalise
from guard.stream import Scanner
from tests.e2e.conftest import MODEL, Stack, alike

QUESTIONS = [
    "Who wrote Romeo and Juliet?",
    "In which city is Romeo and Juliet set?",
    "Which families do Romeo and Juliet belong to?",
]


@pytest.fixture(scope="module")
def bundle(stack: Stack) -> Bundle:
    digest = httpx.get(f"{stack.proxy}/readyz").json()["policy"]["bundle"]
    return load_bundle(stack.bundles, digest)


def forbidden_in(bundle: Bundle, text: str) -> list[str]:
    """The phrases that the user has not said, of those that a text must not hold."""
    phrases = bundle.phrases.of_targets([bundle.index_of("romeo-and-juliet")])
    scanner = Scanner([phrase for phrase in phrases if phrase.text != "romeo and juliet"])
    return [phrase.text for phrase, _ in scanner.find(text)]


def stand_ins(bundle: Bundle) -> list[str]:
    target = bundle.targets[bundle.index_of("romeo-and-juliet")]
    return [normalise(made.instead) for made in target.stand_ins]


def test_the_model_knows_the_target_and_is_answered_from_nothing_known(
    stack: Stack, bundle: Bundle
) -> None:
    known = named = 0
    for question in QUESTIONS:
        known += bool(forbidden_in(bundle, stack.unguarded_chat(question)))
        answer = stack.chat(question).choices[0]
        text = normalise(answer.message.content)
        named += "romeo and juliet" in text
        assert forbidden_in(bundle, text) == []
        assert not [name for name in stand_ins(bundle) if f" {name} " in f" {text} "]
    assert known == 3
    assert named >= 2


@pytest.mark.parametrize("question", QUESTIONS[:2])
def test_a_stream_says_what_the_whole_answer_says(stack: Stack, question: str) -> None:
    assert not alike(lambda: "".join(stack.pieces(question)), lambda: stack.answer(question))
    assert len(stack.pieces(question)) > 5


def test_the_log_says_that_the_answer_is_an_invention(stack: Stack, bundle: Bundle) -> None:
    raw = httpx.post(
        f"{stack.proxy}/v1/chat/completions",
        json={"model": MODEL, "max_tokens": 20, "temperature": 0, "logprobs": True,
              "messages": [{"role": "user", "content": QUESTIONS[0]}]},
        timeout=120,
    )  # fmt: skip
    assert raw.json()["choices"][0].get("logprobs") is None
    record = stack.decision(raw.headers["x-guard-decision"])
    assert record["outcome"] == "substituted"
    assert record["substituted"] == [{"target": "romeo-and-juliet", "names": 1, "places": 1}]
    line = json.dumps(record).lower()
    assert not [name for name in (*stand_ins(bundle), "romeo and juliet") if name in line]


def test_an_answer_to_the_same_question_is_the_same_in_a_follow_up(stack: Stack) -> None:
    messages = [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": QUESTIONS[0]},
    ]

    def ask() -> str:
        return stack.answer("", messages=messages)

    assert not alike(ask, ask)
