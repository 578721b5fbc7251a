"""Which targets the engine enforces for a plan: those it lists, and those that hold always."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch

from guard.bundle import CANARY_TARGET
from guard.bundle_loading import load_engine_bundle
from guard.bundle_writing import write_bundle
from guard.engine.bundles import LoadedBundle, admit
from guard.engine.matcher import Tokens
from guard.engine.symbols import symbol_vocabulary
from guard.errors import PlanError
from guard.phrase_table import BundlePhrase
from guard.plan import GuardPlan, sign_plan
from tests.guard.engine.conftest import target

KEY = b"k" * 32
TODAY = datetime.now(UTC).date()
TARGETS = [
    target("listed"),
    replace(target("always"), always=True),
    replace(target("until-today"), always=True, expires=TODAY.isoformat()),
    replace(target("expired"), always=True, expires=(TODAY - timedelta(days=1)).isoformat()),
    replace(target("observed"), always=True, respond="observe"),
    replace(target("only-logged"), always=True, mode="observe"),
]
Enforced = Callable[[GuardPlan], set[str]]


@pytest.fixture
def enforced(tmp_path: Path) -> Enforced:
    made = write_bundle(tmp_path, targets=TARGETS, phrases=[BundlePhrase("red", 0, "hard")])
    tokens = Tokens(symbol_vocabulary([b" red"]), torch.device("cpu"))
    loaded = LoadedBundle(load_engine_bundle(tmp_path, made.digest), tokens)
    ids = [each.id for each in made.targets]

    def of(plan: GuardPlan) -> set[str]:
        row = loaded.active_row(plan)
        return set() if row is None else {ids[i] for i in row.nonzero().flatten().tolist()}

    return of


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (GuardPlan(""), {"always", "until-today"}),
        (GuardPlan("", ("listed",)), {"listed", "always", "until-today"}),
        (GuardPlan("", exempt=("always",)), {"until-today"}),
        (GuardPlan("", exempt=("always", "until-today")), set()),
        (GuardPlan("", ("expired", "observed")), {"expired", "observed", "always", "until-today"}),
        (GuardPlan("", (CANARY_TARGET,), "probe"), {CANARY_TARGET}),
        (GuardPlan("", day=TODAY.toordinal() - 1), {"always", "until-today", "expired"}),
        (GuardPlan("", day=TODAY.toordinal() + 1), {"always"}),
    ],
)
def test_a_plan_adds_to_what_holds_always_and_exempts_from_it(
    enforced: Enforced, plan: GuardPlan, expected: set[str]
) -> None:
    assert enforced(plan) == expected


def test_a_cue_that_was_said_is_not_enforced_and_its_target_is(tmp_path: Path) -> None:
    rows = [BundlePhrase("red", 0, "hard", cue=True), BundlePhrase("blue", 0, "hard")]
    made = write_bundle(tmp_path, targets=TARGETS[:1], phrases=rows)
    tokens = Tokens(symbol_vocabulary([b" red", b" blue"]), torch.device("cpu"))
    loaded = LoadedBundle(load_engine_bundle(tmp_path, made.digest), tokens)

    def bans(plan: GuardPlan) -> list[bool]:
        active = loaded.active_row(plan)
        assert active is not None
        logits = torch.zeros(1, 2)
        state = tokens.windows.read_texts([[]])
        loaded.matcher.penalise(logits, torch.arange(1), state, active[None])
        return [value == float("-inf") for value in logits[0].tolist()]

    assert bans(GuardPlan("", ("listed",))) == [True, True]
    assert bans(GuardPlan("", ("listed",), said=(0,))) == [False, True]


def test_a_cue_that_the_bundle_does_not_have_is_refused(tmp_path: Path) -> None:
    digest = write_bundle(tmp_path, targets=TARGETS, phrases=[]).digest
    with pytest.raises(PlanError, match="1 targets that its bundle does not have"):
        admit(sign_plan(GuardPlan(digest, said=(0,)), KEY), KEY, tmp_path)


def test_an_exemption_from_an_unknown_target_is_refused(tmp_path: Path) -> None:
    digest = write_bundle(tmp_path, targets=TARGETS, phrases=[]).digest
    with pytest.raises(PlanError, match="1 targets that its bundle does not have"):
        admit(sign_plan(GuardPlan(digest, exempt=("nobody",)), KEY), KEY, tmp_path)
