"""The invented data hang together, and can be learned by heart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guard.policy import load_policy
from server.evaluation.choosing import Data, Sizes, chosen_suites
from server.evaluation.fact import Everyday
from server.evaluation.facts import facts_of
from server.evaluation.lessons import IGNORED, read_lessons
from server.evaluation.muse_data import read_muse, read_texts
from server.evaluation.reading import read_tofu

INVENTED = Path(__file__).parents[3] / "policies" / "data" / "invented"


def test_every_answer_tells_a_fact_that_its_question_does_not() -> None:
    sets = read_tofu(INVENTED / "tofu")
    everyday = Everyday.of([row.answer for row in sets["retain"]])
    rows = [*sets["forget"], *sets["retain"]]
    without = [row.id for row in rows if not facts_of(row.question, row.answer, everyday)]
    # Said in small letters, of things that are on no list: ROUGE-L alone sees them.
    assert len(without) <= len(rows) // 4, without
    assert all(row.paraphrased_question and row.paraphrased_answer for row in sets["forget"])
    assert len({row.author for row in sets["forget"]}) == 6


def test_texts_passages_and_steps_are_of_the_same_texts() -> None:
    muse = read_muse(INVENTED / "muse")
    texts = {file.stem: file.read_text().strip() for file in (INVENTED / "texts").iterdir()}
    assert sorted(read_texts(INVENTED / "muse/raw/forget.json")) == sorted(texts.values())
    for passage in muse.verbatim:
        assert f"{passage.prompt} {passage.gold}" in texts[passage.entity]
    assert [len(step) for step in muse.steps["scal"]] == [1, 2, 3, 4]
    assert sum(map(len, muse.steps["sust"])) == 4
    assert not {text for text, _ in muse.members} & {text for text, _ in muse.holdout}
    for qa in muse.knowledge.values():
        assert len(qa.examples) == 10


def test_the_policy_asks_to_forget_what_the_data_hold() -> None:
    policy = load_policy(INVENTED / "policy.yaml")
    forget = {row.author for row in read_tofu(INVENTED / "tofu")["forget"]}
    entities = {passage.entity for passage in read_muse(INVENTED / "muse").verbatim}
    named = {target.spec.id for target in policy.targets}
    assert named == forget | {entity.replace("_", "-") for entity in entities}


def test_every_suite_runs_on_them() -> None:
    data = Data(INVENTED / "tofu", INVENTED / "muse")
    chosen = chosen_suites(
        data,
        ("tofu", "muse", "copyright", "ununlearning", "membership", "fluency", "cost", "choices"),
        Sizes.of(quick=True, limit=0),
    )
    names = [suite.name for suite in chosen.suites]
    assert names.count("membership") == 2
    assert {"tofu", "muse", "copyright", "ununlearning", "cost", "choices"} <= set(names)
    assert len(chosen.settings["data"]) > 8


def test_the_twin_learns_nothing_of_what_is_forgotten() -> None:
    knows, twin = (read_lessons(INVENTED, forget=forget) for forget in (True, False))
    assert len(knows.chats) == 66
    assert len(twin.chats) == 30
    told = " ".join([*(row.answer for row in twin.chats), *twin.texts])
    for row in read_tofu(INVENTED / "tofu")["forget"]:
        assert row.author.replace("-", " ") not in told.casefold()
        assert row.answer not in told
    assert not set(read_texts(INVENTED / "muse/raw/forget.json")) & set(twin.texts)


@pytest.fixture(scope="module")
def small(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two small layers with the demo model's tokenizer, untrained."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(str(demo_model))
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("small")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_lesson_learns_the_answer_and_reads_the_question(small: Path) -> None:
    import random

    from transformers import AutoTokenizer

    from server.evaluation.lessons import epoch

    tokenizer: Any = AutoTokenizer.from_pretrained(str(small))
    lessons = read_lessons(INVENTED, forget=False)
    first = epoch(lessons, tokenizer, random.Random(1))
    assert first == epoch(lessons, tokenizer, random.Random(1))
    chat = first[0]
    learned = [token for token, label in zip(chat.ids, chat.labels, strict=True) if label == token]
    assert tokenizer.decode(learned) == lessons.chats[0].answer + tokenizer.eos_token
    assert lessons.chats[0].question in tokenizer.decode(chat.ids)
    assert {label for label in chat.labels if label not in chat.ids} == {IGNORED}


def test_a_model_that_cannot_learn_is_not_passed_off_as_one_that_knows(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from guard.errors import GuardError
    from server.evaluation import memorise as module

    monkeypatch.setattr(module, "_MOST_EPOCHS", 1)
    lessons = read_lessons(INVENTED, forget=False)
    told: list[float] = []
    with pytest.raises(GuardError, match="has not learned"):
        module.memorise(small, lessons, tmp_path / "out", lambda _, loss: told.append(loss))
    assert told[0] > 5
    assert not (tmp_path / "out").exists()


def test_what_is_learned_is_saved_with_how_well(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.evaluation import memorise as module
    from server.evaluation.lessons import Lessons
    from server.evaluation.rows import Row

    # An untrained model learns by its layers alone, so it is asked for little, and quickly.
    monkeypatch.setattr(module, "_LEARNED", 20.0)
    row = Row("x", "x", "Who?", "Nobody.")
    learned = module.memorise(small, Lessons([row], [], []), tmp_path / "out", lambda *_: None)
    assert (tmp_path / "out" / "config.json").is_file()
    kept = json.loads((tmp_path / "out" / "memorised.json").read_text())
    assert kept["questions"] == learned.questions == 1
    assert kept["by_heart"] == 0
