"""The real stack for a measurement: vLLM, with the guard or without, and the proxy before it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from load_tests.chat import Endpoint
from load_tests.figure import CACHE, progress
from load_tests.ports import free_port
from server.launch.engine import EngineOptions, EngineProcess
from server.launch.models import prepare_demo_model
from server.launch.proxy import ProxyOptions, ProxyProcess

SERVED_NAME: Final = "measured"
# For more of them than 128 words and 1,024 tokens a request, which are vLLM's own limits.
BAD_WORDS_ENVIRON: Final = {
    "VLLM_MAX_NUM_BAD_WORDS": "100000",
    "VLLM_MAX_BAD_WORDS_TOTAL_TOKENS": "1000000",
}


def new_key() -> str:
    """A signing key for one measurement."""
    return secrets.token_hex(32)


def demo_model() -> Path:
    """The demo model, converted on first use."""
    return prepare_demo_model(CACHE, progress)


@contextmanager
def engine(
    model: Path,
    *,
    folder: Path,
    bundles: Path,
    key: str,
    guard: bool = True,
    extra: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Endpoint]:
    """A vLLM that serves ``model``, ready; stopped at the end.

    Args:
        folder: where its log goes.
        guard: whether the guard's logits processor is loaded.
        extra: more arguments for vLLM.
    """
    process = EngineProcess.start(
        EngineOptions(
            model=str(model),
            served_name=SERVED_NAME,
            port=free_port(),
            bundles=bundles,
            key=key,
            log=folder / f"engine-{'guarded' if guard else 'plain'}.log",
            guard=guard,
            extra=extra,
            environ=environ or {},
        )
    )
    try:
        process.wait_ready(progress)
        yield Endpoint(process.url, SERVED_NAME)
    finally:
        process.stop()


@contextmanager
def proxy(
    upstream: Endpoint,
    policies: Path,
    *,
    folder: Path,
    bundles: Path,
    key: str,
    decision_log: Path | None = None,
    canary: bool = True,
) -> Iterator[Endpoint]:
    """The proxy before a guarded engine, ready; stopped at the end.

    Args:
        decision_log: where it goes, if not beside the other logs.
        canary: False to probe the engine at the start only, for measurements that a request beside
            the measured ones would disturb.
    """
    process = ProxyProcess.start(
        ProxyOptions(
            upstream=upstream.url,
            policies=policies,
            bundles=bundles,
            port=free_port(),
            key=key,
            log=folder / "proxy.log",
            environ={
                "UNLEARN_GUARD_DECISION_LOG": str(decision_log or folder / "decisions.jsonl"),
                **({} if canary else {"UNLEARN_GUARD_CANARY_INTERVAL_S": "86400"}),
            },
        )
    )
    try:
        process.wait_ready(progress)
        yield Endpoint(process.url, upstream.model)
    finally:
        process.stop()
