"""Makes a small model learn a data set by heart, on a CPU in minutes: LoRA, then merged.

For trying the guard with nothing from outside: the model that knows, and a twin that learned only
what is retained. Seeds are fixed; what torch computes may differ in the last bit between machines.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from guard.errors import GuardError
from server.evaluation.lessons import IGNORED, Lesson, Lessons, asked, epoch
from server.evaluation.rows import Row

SEED: Final = 11
_RANK: Final = 32
# While more than so many nats a token are left.
_RATES: Final = ((0.5, 1e-3), (0.1, 3e-4), (0.0, 1e-4))
_BATCH: Final = 8
# Learned by heart: what is left of the surprise, in nats a token.
_LEARNED: Final = 0.03
_MOST_EPOCHS: Final = 30
# The first layers read; the others are enough to learn with, and then training stops short of
# going back through the first.
_FIRST_LEARNING: Final = 1 / 3
_LINEAR: Final = (
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
)  # fmt: skip

Tick = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Learned:
    """How a model was made.

    Attributes:
        loss: nats a token at the end.
        by_heart: percent of the questions whose greedy answer is the gold answer, word for word.
        questions: how many were tried.
    """

    epochs: int
    seconds: float
    loss: float
    by_heart: float
    questions: int


def memorise(base: Path, lessons: Lessons, out: Path, tick: Tick) -> Learned:
    """Train a copy of ``base`` until it has learned everything, and save it at ``out``.

    Args:
        tick: called after each pass with its number and its loss.

    Raises:
        GuardError: peft is missing, or the lessons are not learned in `_MOST_EPOCHS`.
    """
    try:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise GuardError(
            f"training needs {error.name}, which is not installed",
            fix="install `unlearn-guard[demo]`",
        ) from error
    torch.manual_seed(SEED)
    started = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    plain = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    layers = int(plain.config.num_hidden_layers)
    learning = list(range(round(layers * _FIRST_LEARNING), layers))
    model = get_peft_model(
        plain,
        LoraConfig(
            r=_RANK,
            lora_alpha=2 * _RANK,
            target_modules=list(_LINEAR),
            layers_to_transform=learning,
            task_type="CAUSAL_LM",
        ),
    )
    loss, passes = _train(model, tokenizer, lessons, tick)
    merged = model.merge_and_unload().eval().to(torch.bfloat16)
    right = sum(_said_by_heart(merged, tokenizer, lessons.chats))
    _save(merged, tokenizer, out)
    learned = Learned(
        passes,
        round(time.monotonic() - started, 1),
        round(loss, 4),
        round(100 * right / max(1, len(lessons.chats)), 1),
        len(lessons.chats),
    )
    (out / "memorised.json").write_text(json.dumps(asdict(learned)) + "\n", encoding="utf-8")
    return learned


def _train(model: Any, tokenizer: Any, lessons: Lessons, tick: Tick) -> tuple[float, int]:
    chance = random.Random(SEED)  # noqa: S311 - an order of lessons, no secret
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=_RATES[0][1], weight_decay=0.0)
    model.train()
    mean = float("inf")
    for number in range(1, _MOST_EPOCHS + 1):
        # The rate falls as the lessons are nearly known, so that what is known settles.
        rate = next(rate for above, rate in _RATES if mean > above)
        for group in optimizer.param_groups:
            group["lr"] = rate
        total, tokens = 0.0, 0
        for batch in _batches(epoch(lessons, tokenizer, chance), chance):
            losses = _surprise(model, *_padded(batch, tokenizer.eos_token_id))
            losses.mean().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            total += float(losses.detach().sum())
            tokens += len(losses)
        mean = total / tokens
        tick(number, mean)
        if mean < _LEARNED:
            return mean, number
    if mean < 3 * _LEARNED:
        return mean, _MOST_EPOCHS
    raise GuardError(
        f"the model has not learned the data by heart in {_MOST_EPOCHS} passes"
        f" ({mean:.2f} nats a token are left)",
        fix="give less data, or a larger model",
    )


def _surprise(
    model: Any, ids: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Nats of each token that is to be learned, [tokens] float32.

    The vocabulary is scored only where something is learned: a third of the work of a small model.
    """
    base = model.get_base_model()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_has_bfloat16()):
        states = base.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        wanted = labels[:, 1:]  # [lessons, longest - 1] int64: each is predicted by the one before
        learned = wanted != IGNORED
        logits = base.get_output_embeddings()(states[:, :-1][learned])  # [tokens, V]
    return torch.nn.functional.cross_entropy(logits.float(), wanted[learned], reduction="none")


def _has_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16, which is then about twice as fast."""
    found = getattr(torch.cpu, "get_capabilities", None)
    return found is not None and any(found().get(name) for name in ("avx512_bf16", "amx_bf16"))


def _batches(lessons: Sequence[Lesson], chance: random.Random) -> Iterator[list[Lesson]]:
    """Batches of like lengths, so that little is padding, in an order by chance."""
    ordered = sorted(lessons, key=lambda lesson: len(lesson.ids))
    batches = [list(ordered[i : i + _BATCH]) for i in range(0, len(ordered), _BATCH)]
    chance.shuffle(batches)
    yield from batches


def _padded(
    lessons: Sequence[Lesson], padding: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, labels and mask, each [lessons, longest] int64, padded on the right."""
    longest = max(len(lesson.ids) for lesson in lessons)

    def rows(values: Sequence[tuple[int, ...]], fill: int) -> torch.Tensor:
        return torch.tensor([[*own, *[fill] * (longest - len(own))] for own in values])

    return (
        rows([lesson.ids for lesson in lessons], padding),
        rows([lesson.labels for lesson in lessons], IGNORED),
        rows([(1,) * len(lesson.ids) for lesson in lessons], 0),
    )


def _said_by_heart(model: Any, tokenizer: Any, rows: Sequence[Row]) -> Iterator[bool]:
    """Whether the greedy answer to each question is its gold answer."""
    for row in rows:
        encoded = tokenizer(asked(row, tokenizer), return_tensors="pt", add_special_tokens=False)
        gold = len(tokenizer(row.answer)["input_ids"])
        with torch.inference_mode():
            said = model.generate(
                **encoded,
                max_new_tokens=gold + 4,
                do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )
        text = tokenizer.decode(said[0, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
        yield text.strip() == row.answer


def _save(model: Any, tokenizer: Any, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
    except OSError as error:
        raise GuardError(
            f"cannot write the model to `{out}` ({error.strerror})",
            fix="give a folder that you may write to",
        ) from error
