"""The V2 adapter over the kernels: what a vLLM on a GPU runs."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("vllm", reason="the engine extra is not installed")

from guard.engine import vllm_v2
from guard.engine.gpu.rows import KernelRows
from guard.engine.rows import GuardedRows
from guard.engine.vllm_v2 import GuardLogitsProcessor
from tests.guard.engine.conftest import Engine
from tests.guard.engine.gpu.cases import CPU, DEVICE
from tests.guard.engine.test_vllm_v1 import PAIRS, MakeEngine
from tests.guard.engine.test_vllm_v2 import follow_a_schedule
from tests.guard.engine.test_vllm_v2 import (  # the same tests, on an engine with kernels
    test_a_plan_that_cannot_be_kept_ends_the_answer_and_no_other as test_a_lost_plan,
)
from tests.guard.engine.test_vllm_v2 import (
    test_a_prompt_still_being_prefilled_is_not_read_twice as test_a_prompt_in_parts,
)
from tests.guard.engine.test_vllm_v2 import (
    test_a_reused_slot_keeps_nothing_of_its_last_occupant as test_a_reused_slot,
)
from tests.guard.engine.test_vllm_v2 import (
    test_the_canary_says_its_nonce_and_not_the_phrase as test_the_canary,
)
from tests.guard.engine.test_vllm_v2_drafts import (
    test_a_grammar_that_leaves_only_what_is_forbidden_ends_the_answer as test_a_grammar,
)
from tests.guard.engine.test_vllm_v2_drafts import (
    test_drafts_that_stand_for_nothing_change_no_other_row as test_drafts_for_nothing,
)
from tests.guard.engine.test_vllm_v2_drafts import (
    test_tokens_that_other_ranks_sampled_are_read_when_a_slot_comes_back as test_other_ranks,
)

from tests.guard.engine.conftest import make_engine, small_tokenizer  # noqa: F401  isort: skip


__all__ = [
    "test_a_grammar",
    "test_a_lost_plan",
    "test_a_prompt_in_parts",
    "test_a_reused_slot",
    "test_drafts_for_nothing",
    "test_other_ranks",
    "test_the_canary",
]

# vLLM's buffers are on the CPU in these tests.
pytestmark = pytest.mark.skipif(DEVICE != CPU, reason="test_gpu.py runs them interpreted")


@pytest.fixture
def engine(
    make_engine: MakeEngine,  # noqa: F811
    small_tokenizer: Callable[[Any], None],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Engine:
    def with_kernels(processor: GuardLogitsProcessor, slots: int, drafts: int) -> GuardedRows:
        tokens = processor._enforcer.tokens
        return KernelRows(tokens, slots, slots * (1 + drafts), programs=2, finishing_programs=2)

    monkeypatch.setattr(GuardLogitsProcessor, "_guarded_rows", with_kernels)
    small_tokenizer(vllm_v2)
    return make_engine(PAIRS)


@pytest.mark.parametrize("max_drafts", [0, 3])
def test_any_schedule_of_slots_bans_what_each_row_demands(engine: Engine, max_drafts: int) -> None:
    assert follow_a_schedule(engine, max_drafts, steps=15) > 5
