from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from guard.errors import GuardError, PlanError
from server.app import create_app
from server.errors import SettingsError
from server.settings import Settings, load_settings
from tests.server.harness import KEY, POLICY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("UPSTREAM", "localhost:8001"),
        ("MAX_BODY_BYTES", "1"),
        ("UPSTREAM_TIMEOUT_S", "0"),
        ("CANARY_INTERVAL_S", "soon"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"UNLEARN_GUARD_{name}", value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert f"`UNLEARN_GUARD_{name}`" in str(error.value)
    assert "\n" not in str(error.value)


def test_flags_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARN_GUARD_PORT", "9000")
    monkeypatch.setenv("UNLEARN_GUARD_HOST", "0.0.0.0")
    settings = load_settings(port="9001", host=None)
    assert (settings.port, settings.host) == (9001, "0.0.0.0")


def test_the_upstream_may_be_given_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(upstream="http://vllm:8001/v1/").upstream == "http://vllm:8001"


def test_keys_are_not_shown() -> None:
    settings = load_settings(key=KEY, upstream_api_key="sk-secret")
    assert KEY not in repr(settings)
    assert "sk-secret" not in repr(settings)


def ready(tmp_path: Path, **changes: object) -> Settings:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    return load_settings(
        **{
            "policies": policy,
            "bundles": tmp_path / "bundles",
            "key": KEY,
            "encoder": "none",
            "decision_log": str(tmp_path / "log"),
            **changes,
        }
    )


def test_without_a_key_the_proxy_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNLEARN_GUARD_KEY", raising=False)
    with pytest.raises(PlanError, match="UNLEARN_GUARD_KEY"):
        create_app(ready(tmp_path, key=None))
    with pytest.raises(PlanError, match="32 bytes"):
        create_app(ready(tmp_path, key="short"))
    with pytest.raises(PlanError, match="KEY_FILE"):
        create_app(ready(tmp_path, key=None, key_file=tmp_path / "none"))


def test_a_key_file_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNLEARN_GUARD_KEY", raising=False)
    (tmp_path / "key").write_text(KEY + "\n")
    assert ready(tmp_path, key=None, key_file=tmp_path / "key").signing_key() == KEY.encode()


def test_a_bad_policy_an_absent_encoder_and_a_bad_log_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="no such file"):
        create_app(ready(tmp_path, policies=tmp_path / "none.yaml"))
    with pytest.raises(GuardError, match="encoder"):
        create_app(ready(tmp_path, encoder=str(tmp_path)))
    with pytest.raises(SettingsError, match="DECISION_LOG"):
        create_app(ready(tmp_path, decision_log=str(tmp_path / "policy.yaml" / "log")))


def test_examples_without_an_encoder_stop_the_start(tmp_path: Path) -> None:
    settings = ready(tmp_path)
    settings.policies.write_text(
        POLICY.replace("aliases: [Project Vault]", "aliases: [Vault], examples: [What is Vault?]")
    )
    with pytest.raises(GuardError, match="encoder"):
        create_app(settings)


def test_the_admin_key_is_a_key_or_its_digest_or_in_a_file(tmp_path: Path) -> None:
    key = "a key of the admin"
    digest = hashlib.sha256(key.encode()).hexdigest()
    (tmp_path / "key").write_text(f"{key}\n")
    assert load_settings(admin_key=key).admin_digest() == digest
    assert load_settings(admin_key=f"sha256:{digest.upper()}").admin_digest() == digest
    assert load_settings(admin_key_file=tmp_path / "key").admin_digest() == digest
    assert load_settings().admin_digest() == ""
    assert key not in repr(load_settings(admin_key=key))


@pytest.mark.parametrize(
    ("given", "said"), [("tiny-key", "shorter than 16"), ("sha256:abc", "64 hex digits")]
)
def test_an_admin_key_that_is_none_is_refused_at_start(given: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings(admin_key=given).admin_digest()
    assert "UNLEARN_GUARD_ADMIN_KEY" in str(caught.value)
    assert given not in str(caught.value)


@pytest.mark.parametrize("content", [None, " \n"])
def test_an_admin_key_file_without_a_key_is_refused_at_start(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(SettingsError, match="UNLEARN_GUARD_ADMIN_KEY_FILE"):
        load_settings(admin_key_file=tmp_path / "key").admin_digest()
