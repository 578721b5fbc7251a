from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from guard.bundle import BundleTarget
from guard.bundle_writing import write_bundle
from guard.engine.vocabulary import gpt2_alphabet
from guard.normalise import normalise
from guard.phrase_table import BundlePhrase
from load_tests import greedy
from load_tests.greedy import Asked, GreedyModel

STEPS = 14
QUESTIONS = ["who", "tell me of the harbour at length", "why so", "a tide"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights over single bytes, with a chat template."""
    place = tmp_path_factory.mktemp("model")
    alphabet = {char: token for token, char in enumerate(gpt2_alphabet())}
    inner = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>")
    tokenizer.chat_template = "{{ messages[0]['content'] }}: "
    tokenizer.save_pretrained(place)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=256,
        initializer_range=1.0, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)
    return place


def compiled(root: Path, phrases: Sequence[str]) -> str:
    target = BundleTarget(
        id="t", title="t", reason="secret", owner="", mode="enforce", respond="suppress",
        refusal="", context="redact", always=False, expires="", thresholds={}, aliases=(),
    )  # fmt: skip
    rows = [BundlePhrase(normalise(phrase), 0, "hard") for phrase in phrases]
    return write_bundle(root, targets=[target], phrases=rows).digest


def alone(folder: Path, question: str, steps: int) -> str:
    """The greedy answer to one question, each token from the whole text anew."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = tokenizer(f"{question}: ", add_special_tokens=False)["input_ids"]
    said: list[int] = []
    for _ in range(steps):
        with torch.inference_mode():
            token = int(model(torch.tensor([prompt + said])).logits[0, -1].argmax())
        if token == tokenizer.eos_token_id:
            break
        said.append(token)
    text: str = tokenizer.decode(said)
    return text


def test_a_batch_answers_as_each_question_would_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy, "MAX_TOKENS", STEPS)
    model = GreedyModel(folder, tmp_path)
    digest = compiled(tmp_path, ["harbour"])
    answers = model.answer([Asked(question, "") for question in QUESTIONS], digest, label="test")
    assert [said.text for said in answers] == [alone(folder, q, STEPS) for q in QUESTIONS]


def test_rows_that_end_early_leave_the_others_as_they_are(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy, "MAX_TOKENS", STEPS)
    model = GreedyModel(folder, tmp_path)
    digest = compiled(tmp_path, ["harbour"])

    def end_one(
        logits: torch.Tensor, targets: Sequence[str], said: Sequence[Sequence[int]]
    ) -> None:
        for row, tokens in enumerate(said):
            if targets[row] == "t" and len(tokens) == 3:
                logits[row, model.tokenizer.eos_token_id] = float("inf")

    asked = [Asked(question, "t" if question == "why so" else "") for question in QUESTIONS]
    answers = model.answer(asked, digest, label="test", trial=end_one)
    expected = [alone(folder, q, 3 if q == "why so" else STEPS) for q in QUESTIONS]
    assert [said.text for said in answers] == expected
    assert [said.ended for said in answers] == [q == "why so" for q in QUESTIONS]


def test_the_guard_keeps_a_question_from_what_its_target_forbids(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy, "MAX_TOKENS", STEPS)
    model = GreedyModel(folder, tmp_path)
    free = [normalise(alone(folder, question, STEPS)) for question in QUESTIONS]
    assert all(free)
    digest = compiled(tmp_path, free)
    asked = [Asked(question, "t") for question in QUESTIONS]
    answers = model.answer(asked, digest, label="test")
    for answer in answers:
        assert not any(text in normalise(answer.text) for text in free)
