"""A small vocabulary, a bundle and a signing key, as an engine process would have them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guard.bundle import Bundle, BundleTarget
from guard.bundle_writing import write_bundle
from guard.engine import enforcer
from guard.phrase_table import BundlePhrase
from guard.plan import BUNDLES_VARIABLE, KEY_VARIABLE, XARG, GuardPlan, PlanMode, sign_plan

KEY = "0123456789abcdef" * 4
END = 0
# Single letters spell anything, so that every phrase has many tokenisations.
VOCABULARY = [
    b"",
    *(bytes([letter]) for letter in b"abcdefghijklmnopqrstuvwxyz "),
    b" red",
    b" blue",
    b"bl",
    b"ue",
    b" can",
    b"\xc3",
    b"\xa9",
]


def target(target_id: str) -> BundleTarget:
    return BundleTarget(
        id=target_id, title=target_id, reason="secret", owner="", mode="enforce",
        respond="suppress", refusal="", context="redact", always=False, expires="",
        thresholds={}, aliases=(),
    )  # fmt: skip


@dataclass(frozen=True)
class Engine:
    """What a test needs to talk to an adapter."""

    bundle: Bundle
    config: Any

    def args(
        self, *targets: str, mode: PlanMode = "enforce", nonce: str = "", digest: str = ""
    ) -> dict[str, Any]:
        """``extra_args`` of a request with a plan for these targets."""
        plan = GuardPlan(digest or self.bundle.digest, targets, mode, nonce)
        return {XARG: sign_plan(plan, KEY.encode())}


def vllm_settings() -> Any:
    """The parts of a ``VllmConfig`` that an adapter reads, for ``VOCABULARY``."""
    model = SimpleNamespace(
        get_vocab_size=lambda: len(VOCABULARY), is_diffusion=False, enable_trace_replay=False
    )
    return SimpleNamespace(model_config=model, speculative_config=None)


@pytest.fixture
def make_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Sequence[tuple[str, str]]], Engine]]:
    """An engine environment for (target, phrase) pairs, over ``VOCABULARY``."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv(BUNDLES_VARIABLE, str(tmp_path))
    enforcer._trust.cache_clear()

    def make(pairs: Sequence[tuple[str, str]]) -> Engine:
        ids = sorted({name for name, _ in pairs})
        bundle = write_bundle(
            tmp_path,
            targets=[target(name) for name in ids],
            phrases=[BundlePhrase(text, ids.index(name), "hard") for name, text in pairs],
        )
        return Engine(bundle, vllm_settings())

    yield make
    enforcer._trust.cache_clear()


@pytest.fixture
def small_tokenizer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Gives an adapter module ``VOCABULARY`` in place of a real tokenizer's."""

    def patch(module: Any) -> None:
        monkeypatch.setattr(
            module,
            "cached_tokenizer_from_config",
            lambda _config: SimpleNamespace(eos_token_id=END),
        )
        monkeypatch.setattr(module, "token_bytes", lambda _tokenizer, _size: VOCABULARY)

    return patch
