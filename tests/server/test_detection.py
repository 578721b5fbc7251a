from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from classifiers import Detector, SentenceEncoder
from guard.bundle import Bundle
from guard.context import split_sentences
from guard.normalise import normalise
from guard.policy import compile_policy
from server.detection import find_targets
from server.wire.chat import parse_chat
from server.wire.texts import chat_texts
from tests.server.harness import POLICY, proxied
from tests.server.test_reload import bundle as bundle_of
from tests.server.test_reload import changed, write


class WordEncoder:
    """Texts that share words are near each other."""

    digest = "words"
    parallel = 1

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = np.zeros((len(texts), 256), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in normalise(text).split() or ["-"]:
                row[hashlib.sha256(word.encode()).digest()[0]] += 1
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


ENCODER = cast(SentenceEncoder, WordEncoder())

EXAMPLES = POLICY.replace(
    "detect: {aliases: [Project Vault]}",
    "detect: {aliases: [Project Vault], examples: [who leads the hidden bank job], threshold: 0.8}",
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return compile_policy(tmp_path / "policy.yaml", tmp_path / "bundles", encode=None)


def texts_of(*messages: dict[str, Any]) -> list[Any]:
    raw: dict[str, Any] = {"model": "m", "messages": list(messages)}
    parse_chat(raw)
    return chat_texts(raw)


USER = {"role": "user", "content": "Hello"}


async def test_a_sentence_is_found_where_it_stands(bundle: Bundle) -> None:
    text = "Be kind. Mirelle Quay wrote. Be brief."
    texts = texts_of({"role": "system", "content": text}, USER)
    findings = await find_targets(Detector(bundle, None), texts, frozenset())
    (touched,) = findings.touched[0]
    assert text[touched.span.start : touched.span.end].strip() == "Mirelle Quay wrote."
    assert touched.target == "harbor"
    assert findings.user == ()
    assert [d.target for d in findings.context] == ["harbor"]


async def test_a_name_over_two_sentences_withholds_both(bundle: Bundle) -> None:
    text = "Be kind. I like the Harbor. Novels are fun. Be brief."
    assert len(split_sentences(text)) == 4
    texts = texts_of({"role": "system", "content": text}, USER)
    findings = await find_targets(Detector(bundle, None), texts, frozenset())
    (touched,) = findings.touched[0]
    assert text[touched.span.start : touched.span.end].strip() == (
        "I like the Harbor. Novels are fun."
    )


async def test_a_name_over_two_parts_of_a_turn_is_detected(bundle: Bundle) -> None:
    parts = [{"type": "text", "text": "the Harbor"}, {"type": "text", "text": "novels"}]
    texts = texts_of({"role": "user", "content": parts})
    findings = await find_targets(Detector(bundle, None), texts, frozenset())
    assert [d.target for d in findings.user] == ["harbor"]


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
async def test_a_name_that_another_role_begins_and_the_user_ends_is_detected(
    bundle: Bundle, role: str
) -> None:
    texts = texts_of({"role": role, "content": "The user asks: who is Mirelle"},
                     {"role": "user", "content": "Quay?"})  # fmt: skip
    findings = await find_targets(Detector(bundle, None), texts, frozenset())
    assert [d.target for d in findings.user] == ["harbor"]


async def test_a_name_over_two_parts_of_a_context_text_is_detected(bundle: Bundle) -> None:
    parts = [{"type": "text", "text": "the Harbor"}, {"type": "text", "text": "novels"}]
    texts = texts_of({"role": "system", "content": parts}, USER)
    findings = await find_targets(Detector(bundle, None), texts, frozenset())
    assert [d.target for d in findings.context] == ["harbor"]
    assert sorted(findings.touched) == [0]


async def test_what_the_caller_is_exempt_from_is_not_found(bundle: Bundle) -> None:
    texts = texts_of({"role": "system", "content": "Mirelle Quay."}, USER)
    findings = await find_targets(Detector(bundle, None), texts, frozenset({"harbor"}))
    assert findings.merged == ()
    assert not findings.touched


async def test_examples_are_compared_with_through_the_encoder(tmp_path: Path) -> None:
    async with proxied(tmp_path, policy=EXAMPLES, encoder=ENCODER) as proxy:
        answer = await proxy.chat("Who leads the hidden bank job?")
        assert "can't discuss" in answer.text
        (line,) = await proxy.decisions()
        kinds = {evidence["kind"] for evidence in line["detections"][0]["evidence"]}
        assert "neighbour" in kinds
        assert "can't discuss" not in (await proxy.chat("How do tides work?")).text


async def test_an_edited_example_is_live_without_a_restart(tmp_path: Path) -> None:
    async with proxied(tmp_path, encoder=ENCODER) as proxy:
        question = "Who leads the hidden bank job?"
        assert "can't discuss" not in (await proxy.chat(question)).text
        before = await bundle_of(proxy)
        write(tmp_path, EXAMPLES)
        await changed(proxy, before)
        assert "can't discuss" in (await proxy.chat(question)).text
