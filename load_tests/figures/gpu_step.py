"""``gpu-step``: what the guard's step costs on a GPU, at batch 256 and a vocabulary of 128k.

The timing needs torch, triton and numpy alone, and makes its own vocabulary and phrases::

    python -m load_tests.figures.gpu_step

Texts are full of the beginnings of phrases, or of letters that are split over tokens, which is the
dearest case; every target is active. Half of the phrases are soft, so that both launches of the
penalties are timed, and the other half's beginnings are penalised too (``guard.engine.steer``),
except in the largest size. Each step reads one token a row and penalises; what
the kernels did is compared with the torch version before anything is timed. Device time is taken
with CUDA events around each step while the queue is full, so that the host's own time does not
count; that stands beside it, as the time that the launches take a Python thread.

As a figure (``python -m load_tests gpu-step``) it also measures a real vLLM with dummy weights,
with and without the processor, where a vLLM is installed.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise, product
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from load_tests.figure import ROOT, Figure, Measured, NotMeasurableError, Options, work_folder

if TYPE_CHECKING:
    import torch

    from guard.engine.rows import StepRows

SIZES: Final = (100, 10_000, 1_000_000)
BATCHES: Final = (1, 256)
VOCABULARY: Final = 128_256
PER_TARGET: Final = 10
_WARM_UP, _STEPS = 10, 100
# Hard phrases whose beginnings are penalised too, in sizes up to this; more take long to compile.
_MOST_STEERED: Final = 10_000
# Enough for the host to launch all timed steps before the device begins with them.
_SLEEP_CYCLES: Final = 400_000_000
# Tokens a second of a real vLLM.
_STREAMS, _TOKENS = 256, 128

_OPENS = ("", "b", "br", "d", "g", "k", "l", "m", "n", "r", "s", "st", "t", "v", "z", "sh")
_SYLLABLES = [a + b + c for a in _OPENS for b in "aeiou" for c in ("", "l", "n", "r", "s")]


def measure(options: Options) -> Measured:
    """Time the kernels, and a real vLLM where there is one."""
    found = time_kernels([size for size in SIZES if not options.limit or size <= options.limit])
    if find_spec("vllm") is not None:
        found["vllm"] = _vllm_rates(options)
    worst = max(s["device_us"]["median"] for s in found["steps"] if not s["letters_split"])
    return Measured(value=worst, n=_STEPS, details=found)


def time_kernels(sizes: Sequence[int]) -> dict[str, Any]:
    """Steps of every size and batch.

    Raises:
        NotMeasurableError: no GPU, or no Triton.
    """
    try:
        import torch
        import triton
    except ImportError as error:
        raise NotMeasurableError(f"needs {error.name}: pip install torch triton numpy") from error
    if not torch.cuda.is_available():
        raise NotMeasurableError("needs an NVIDIA GPU, and this machine has none")
    made = _vocabulary()
    return {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "vocabulary": len(made),
        "steps": [step for size in sizes for step in _time_size(made, size)],
    }


def _vocabulary() -> list[bytes]:
    """Bytes, words with and without a space before them, and cut code points, as a BPE has them."""
    draw = random.Random(1)
    tokens = {bytes([byte]): None for byte in range(256)}
    tokens |= dict.fromkeys(s.encode() for s in _SYLLABLES if s)
    while len(tokens) < 0.02 * VOCABULARY:
        cut = chr(draw.randrange(0x3000, 0xA000)).encode()[draw.randint(1, 2) :]
        tokens[cut + chr(draw.randrange(0x3000, 0xA000)).encode()] = None
    while len(tokens) < VOCABULARY:
        word = "".join(draw.choices(_SYLLABLES, k=draw.randint(1, 4)))
        tokens[(draw.choice((" ", "")) + word + draw.choice(("", "", "s", "ing"))).encode()] = None
    return list(tokens)


def _names(count: int) -> list[str]:
    """Invented first and last names, in normalised form."""
    draw = random.Random(2)
    return [
        " ".join("".join(draw.choices(_SYLLABLES, k=draw.randint(2, 3))).strip() for _ in range(2))
        for _ in range(count)
    ]


def _tokenized(text: bytes, token_of: dict[bytes, int]) -> list[int]:
    """The longest token first."""
    tokens = []
    while text:
        size = next(n for n in range(min(24, len(text)), 0, -1) if text[:n] in token_of)
        tokens.append(token_of[text[:size]])
        text = text[size:]
    return tokens


@dataclass(frozen=True, slots=True)
class _Run:
    """Texts of a batch, read one token further at each step."""

    texts: list[list[int]]
    prompt: int

    def rows(self, step: int, committed: torch.Tensor) -> StepRows:
        """The ``step``-th step's rows; every request has one."""
        import torch

        from guard.engine.rows import StepRows

        device, batch = committed.device, len(self.texts)
        last = self.prompt + step
        slots = torch.arange(batch, device=device)
        position = torch.full((batch,), last, dtype=torch.int64, device=device)
        token = committed[:batch, last].clone()
        return StepRows(slots, torch.zeros_like(token), token, position, committed)


def _time_size(vocabulary: list[bytes], size: int) -> list[dict[str, Any]]:
    import numpy as np
    import torch

    from guard.engine.gpu.rows import KernelRows
    from guard.engine.matcher import BoundSegment, PhraseMatcher, SegmentTensors, Tokens
    from guard.engine.rows import TorchRows
    from guard.engine.segment import HARD_PENALTY, SOFT_PENALTY, compile_segment
    from guard.engine.symbols import symbol_vocabulary

    device = torch.device("cuda")
    tokens = Tokens(symbol_vocabulary(vocabulary), device)
    names = _names(size)
    targets = np.arange(size, dtype=np.int32) // PER_TARGET
    penalty = np.where(np.arange(size) % 2, SOFT_PENALTY, HARD_PENALTY).astype(np.float32)
    started = time.perf_counter()
    steered = range(0, size if size <= _MOST_STEERED else 0, 2)
    advances = [each for at in steered for each in tokens.steering.advances(at, names[at])]
    segment = compile_segment(names, targets, penalty, tokens.letters, tokens.words, advances)
    compile_s = time.perf_counter() - started
    n_targets = int(targets[-1]) + 1
    slots = torch.arange(n_targets, device=device)
    matcher = PhraseMatcher(tokens, [BoundSegment(SegmentTensors(segment, device), slots)])
    bundle: Any = SimpleNamespace(matcher=matcher, verbatim=None)
    active = torch.ones(n_targets, dtype=torch.bool)

    found = []
    for batch, splits in product(BATCHES, (False, True)):
        run = _texts(vocabulary, names, batch, splits=splits)
        committed = torch.tensor(run.texts, dtype=torch.int32, device=device)
        steps = [run.rows(step, committed) for step in range(_WARM_UP + _STEPS)]
        host = np.arange(batch, dtype=np.int32)
        kernels, reference = KernelRows(tokens, batch, batch), TorchRows(tokens, batch)
        for rows in (kernels, reference):
            for slot in range(batch):
                rows.join(slot, bundle, active)
            rows.flush()
        logits = torch.randn(batch, len(vocabulary), device=device)
        banned = 0
        for rows_now in steps[:_WARM_UP]:
            ours, theirs = logits.clone(), logits.clone()
            kernels.penalise(ours, rows_now, host)
            reference.penalise(theirs, rows_now, host)
            if not torch.equal(ours, theirs):
                raise RuntimeError("the kernels and the torch version differ")
            banned += int((ours != logits).sum())

        def by(
            rows: KernelRows | TorchRows, steps: list[StepRows] = steps
        ) -> Callable[[int], None]:
            return lambda at: rows.penalise(logits, steps[_WARM_UP + at], host)  # noqa: B023

        timed = _timed(by(kernels))
        found.append(
            {
                "phrases": size,
                "batch": batch,
                "letters_split": splits,
                "steered": len(steered),
                "longest_list": int(np.diff(segment.offset).max()),
                "compile_s": round(compile_s, 1),
                "changed_per_row_and_step": round(banned / _WARM_UP / batch, 1),
                **timed,
                "torch_wall_us": _wall_us(by(reference)),
            }
        )
    return found


def _texts(vocabulary: list[bytes], names: list[str], batch: int, *, splits: bool) -> _Run:
    """Running text: names but for their ends, or letters that take three tokens each."""
    draw = random.Random(3)
    token_of = {data: token for token, data in enumerate(vocabulary)}
    prompt = 48
    wanted = prompt + _WARM_UP + _STEPS + 1
    texts = []
    for row in range(batch):
        text: list[int] = []
        while len(text) < wanted:
            name = _tokenized(b" " + draw.choice(names).encode(), token_of)
            text += name[: max(1, len(name) - 1)]
            if splits and len(text) >= prompt - row % 3:
                letter = chr(draw.randrange(0x3000, 0xA000)).encode()
                text[prompt - row % 3 :] = [token_of[bytes([byte])] for byte in letter] * wanted
        texts.append(text[:wanted])
    return _Run(texts, prompt)


def _timed(step: Callable[[int], None]) -> dict[str, Any]:
    """Device and host microseconds of a step."""
    import torch

    cuda: Any = torch.cuda
    events = [cuda.Event(enable_timing=True) for _ in range(_STEPS + 1)]
    torch.cuda.synchronize()
    cuda._sleep(_SLEEP_CYCLES)
    started = time.perf_counter()
    events[0].record()
    for at in range(_STEPS):
        step(at)
        events[at + 1].record()
    host_us = 1e6 * (time.perf_counter() - started) / _STEPS
    kept_up = not events[0].query()
    torch.cuda.synchronize()
    spent = [1e3 * before.elapsed_time(after) for before, after in pairwise(events)]
    return {
        "device_us": {
            "median": round(median(spent), 1),
            "p99": round(sorted(spent)[int(0.99 * len(spent))], 1),
            # False where the host was too slow to launch all steps ahead: then its time counts too.
            "without_the_host": kept_up,
        },
        "host_us": round(host_us, 1),
    }


def _wall_us(step: Callable[[int], None]) -> float:
    import torch

    times = []
    for at in range(_STEPS):
        torch.cuda.synchronize()
        started = time.perf_counter()
        step(at)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return round(1e6 * median(times), 1)


def _vllm_rates(options: Options) -> dict[str, Any]:
    """Decode tokens a second of a vLLM with dummy weights, with and without the processor."""
    from classifiers import load_encoder
    from guard.bundle import CANARY_TARGET
    from guard.plan import GuardPlan
    from guard.policy import compile_policy
    from load_tests import stack
    from load_tests.chat import ask_all, nothing_more, with_plan

    folder = work_folder("gpu-step")
    bundles, key = folder / "bundles", stack.new_key()
    encoder = load_encoder()
    bundle = compile_policy(
        ROOT / "policies", bundles, encode=encoder.encode, encoder=encoder.digest
    )
    every = tuple(t.id for t in bundle.targets if t.id != CANARY_TARGET)
    plan = with_plan(GuardPlan(bundle.digest, every), key.encode())
    prompts = [f"Write a long story about person number {i}." for i in range(_STREAMS)]
    fields: dict[str, Any] = {"max_tokens": _TOKENS, "ignore_eos": True, "temperature": 0}
    rates: dict[str, list[float]] = {"guarded": [], "none": []}
    for _ in range(options.restarts):
        for name, guard in (("guarded", True), ("none", False)):
            with stack.engine(
                stack.demo_model(),
                folder=folder,
                bundles=bundles,
                key=key,
                guard=guard,
                extra=("--load-format", "dummy", "--max-num-seqs", str(_STREAMS)),
            ) as engine:
                for each in range(1 + options.repeats):
                    started = time.perf_counter()
                    answers = ask_all(
                        engine,
                        prompts,
                        label=f"{name}, run {each}",
                        concurrency=_STREAMS,
                        extra=plan if guard else nothing_more,
                        **fields,
                    )
                    if each:  # the first one warms up
                        spent = time.perf_counter() - started
                        rates[name].append(sum(answer.tokens for answer in answers) / spent)
    best = {name: round(max(values), 1) for name, values in rates.items()}
    return {
        "tokens_per_second": {name: round(median(values), 1) for name, values in rates.items()},
        "best": best,
        "ratio_of_best": round(best["guarded"] / best["none"], 4),
        "streams": _STREAMS,
    }


FIGURE = Figure(
    name="gpu-step",
    what="device time of a guarded step on a GPU, the slowest of 10^2 to 10^6 phrases, batch 256",
    unit="us",
    goal="<= 100",
    run=measure,
)

if __name__ == "__main__":
    try:
        print(json.dumps(time_kernels(SIZES)))
    except NotMeasurableError as error:
        raise SystemExit(f"gpu-step {error}") from error
