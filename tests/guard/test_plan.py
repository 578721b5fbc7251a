"""A plan is what the proxy signed, in time, or it is refused."""

from __future__ import annotations

import base64
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from guard.errors import PlanError
from guard.plan import GuardPlan, PlanMode, admitted_plan, load_key, sign_plan, verify_plan

KEY = b"k" * 32
NOW = 1_800_000_000.0
PLAN = GuardPlan("ab" * 32, ("harbor-novels", "möwe"))
SIGNED = sign_plan(PLAN, KEY, now=NOW)

IDS = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=4).map(sorted).map(tuple)
CUES = st.lists(st.integers(0, 99), unique=True, max_size=4).map(sorted).map(tuple)


@given(
    st.text(max_size=64),
    IDS,
    st.sampled_from(["enforce", "probe"]),
    st.text(max_size=16),
    IDS,
    CUES,
    st.integers(1, 3_652_059),
)
def test_a_signed_plan_reads_as_it_was(
    bundle: str,
    targets: tuple[str, ...],
    mode: PlanMode,
    nonce: str,
    exempt: tuple[str, ...],
    said: tuple[int, ...],
    day: int,
) -> None:
    plan = GuardPlan(bundle, targets, mode, nonce, exempt, said, day)
    text = sign_plan(plan, KEY, now=NOW)
    assert verify_plan(text, KEY, now=NOW) == plan
    assert admitted_plan(text, KEY) == plan
    assert text.isascii()


def test_targets_are_signed_in_one_order() -> None:
    assert verify_plan(sign_plan(GuardPlan("d", ("b", "a")), KEY), KEY).targets == ("a", "b")


@given(st.integers(0, len(SIGNED) - 1), st.characters(codec="utf-8"))
def test_a_change_of_any_character_is_refused(place: int, char: str) -> None:
    assume(SIGNED[place] != char)
    altered = SIGNED[:place] + char + SIGNED[place + 1 :]
    with pytest.raises(PlanError, match="signature is not valid"):
        verify_plan(altered, KEY, now=NOW)
    with pytest.raises(PlanError, match="signature is not valid"):
        admitted_plan(altered, KEY)


def test_a_flip_of_any_bit_is_refused() -> None:
    for place in range(len(SIGNED)):
        for bit in range(7):
            altered = SIGNED[:place] + chr(ord(SIGNED[place]) ^ 1 << bit) + SIGNED[place + 1 :]
            with pytest.raises(PlanError):
                verify_plan(altered, KEY, now=NOW)


@given(st.text("ug1.", max_size=8) | st.text(min_size=1, max_size=8), st.booleans())
def test_text_around_a_plan_is_refused(extra: str, before: bool) -> None:
    assume(extra)
    with pytest.raises(PlanError):
        verify_plan(extra + SIGNED if before else SIGNED + extra, KEY, now=NOW)


def test_every_shorter_part_of_a_plan_is_refused() -> None:
    for size in range(len(SIGNED)):
        with pytest.raises(PlanError):
            verify_plan(SIGNED[:size], KEY, now=NOW)


@given(st.text())
@example("ug1..")
@example("ug1.\ud800.0")
@example("ug1.e30.\udfff")
@example("ug1." + "." * 1000)
def test_text_that_was_never_signed_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        verify_plan(text, KEY, now=NOW)
    with pytest.raises(PlanError):
        admitted_plan(text, KEY)


@pytest.mark.parametrize("value", [None, "", 0, 1.5, b"ug1.x.y", ["ug1.x.y"], {}])
def test_a_request_without_a_plan_is_told_where_to_go(value: object) -> None:
    with pytest.raises(
        PlanError, match="carries no guard plan; send requests to the unlearn-guard"
    ):
        verify_plan(value, KEY)


def test_another_key_is_refused() -> None:
    with pytest.raises(PlanError, match="same key"):
        verify_plan(SIGNED, b"K" * 32, now=NOW)


def test_the_signature_of_one_plan_does_not_fit_another() -> None:
    body, signature = (
        sign_plan(GuardPlan("ab" * 32), KEY, now=NOW).split(".")[1],
        SIGNED.split(".")[2],
    )
    with pytest.raises(PlanError, match="signature"):
        verify_plan(f"ug1.{body}.{signature}", KEY, now=NOW)


def test_a_plan_holds_until_its_expiry_and_not_longer() -> None:
    text = sign_plan(PLAN, KEY, now=NOW, lifetime_s=60)
    assert verify_plan(text, KEY, now=NOW + 60) == PLAN
    with pytest.raises(PlanError, match="expired; check the clocks"):
        verify_plan(text, KEY, now=NOW + 60.5)


def test_an_admitted_plan_outlives_its_expiry_in_the_queue() -> None:
    assert admitted_plan(sign_plan(PLAN, KEY, now=0, lifetime_s=1), KEY) == PLAN


def test_the_clock_is_the_systems_unless_given() -> None:
    assert verify_plan(sign_plan(PLAN, KEY), KEY) == PLAN
    with pytest.raises(PlanError, match="expired"):
        verify_plan(sign_plan(PLAN, KEY, lifetime_s=-2), KEY)


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b"{}",
        b'{"b":"d","t":null,"m":"enforce","n":"","e":1}',
        b'{"b":"d","t":[],"m":"enforce","n":"","e":"soon"}',
        b"\xff\xfe",
    ],
)
def test_a_signed_body_of_another_shape_is_refused(body: bytes) -> None:
    """As it would be from a proxy of another version that has the same key."""
    text = base64.urlsafe_b64encode(body).decode().rstrip("=")
    signature = hmac.new(KEY, f"ug1.{text}".encode(), "sha256").hexdigest()
    with pytest.raises(PlanError, match="same version"):
        admitted_plan(f"ug1.{text}.{signature}", KEY)


def test_the_signed_text_shows_nothing_but_digest_ids_mode_nonce_day_and_expiry() -> None:
    fields = json.loads(base64.urlsafe_b64decode(SIGNED.split(".")[1] + "=="))
    assert fields == {
        "b": "ab" * 32,
        "t": ["harbor-novels", "möwe"],
        "m": "enforce",
        "n": "",
        "x": [],
        "s": [],
        "d": PLAN.day,
        "e": int(NOW) + 300,
    }


def test_the_key_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("f" * 32 + "\n")
    assert load_key({"UNLEARN_GUARD_KEY": "e" * 32}) == b"e" * 32
    assert load_key({"UNLEARN_GUARD_KEY_FILE": str(file)}) == b"f" * 32
    both = {"UNLEARN_GUARD_KEY": "e" * 32, "UNLEARN_GUARD_KEY_FILE": str(file)}
    assert load_key(both) == b"e" * 32


@pytest.mark.parametrize("key", ["", "short", "k" * 31])
def test_a_short_key_is_refused_with_the_fix(tmp_path: Path, key: str) -> None:
    file = tmp_path / "key"
    file.write_text(key + "\n")
    for environ in ({"UNLEARN_GUARD_KEY": key}, {"UNLEARN_GUARD_KEY_FILE": str(file)}, {}):
        with pytest.raises(PlanError, match=r"at least 32 bytes.*openssl rand -hex 32"):
            load_key(environ)


def test_a_key_file_that_cannot_be_read_is_named_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"`UNLEARN_GUARD_KEY_FILE`.*No such file"):
        load_key({"UNLEARN_GUARD_KEY_FILE": str(tmp_path / "absent")})


def test_a_key_file_of_raw_bytes_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xff" * 32)
    with pytest.raises(PlanError, match="openssl rand -hex 32"):
        load_key({"UNLEARN_GUARD_KEY_FILE": str(file)})


def test_a_key_of_any_bytes_in_the_environment_is_taken_as_it_is() -> None:
    raw = b"\xff" * 40
    assert load_key({"UNLEARN_GUARD_KEY": raw.decode(errors="surrogateescape")}) == raw
