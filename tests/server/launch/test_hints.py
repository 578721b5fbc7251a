"""The lines to try work as they are printed, for any policy."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from guard.policy.load import load_policy
from server.launch.hints import PLAIN_QUESTION, curl, shown_target, to_try

TARGET = """
  - id: {id}
    title: {id}
    reason: copyright
    owner: legal@example.com
    detect: {{aliases: [{alias}]}}
    forbid: {{phrases: [{alias}]}}
    respond: {respond}
"""


def policy_file(tmp_path: Path, *targets: str, more: str = "") -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\ntargets:" + "".join(targets) + more)
    return file


def target(id_: str, alias: str, respond: str = "suppress", tests: str = "") -> str:
    return TARGET.format(id=id_, alias=alias, respond=respond) + tests


def test_a_suppressed_target_is_shown_before_a_refused_one(tmp_path: Path) -> None:
    file = policy_file(
        tmp_path, target("one", "Mirelle Quay", "refuse"), target("two", "Oriel Vance")
    )
    shown = shown_target(load_policy(file))
    assert shown is not None
    assert shown[0].spec.id == "two"
    assert shown[1] == "What do you know about Oriel Vance?"


def test_a_targets_own_test_is_the_question(tmp_path: Path) -> None:
    tests = (
        "    tests:\n      - {prompt: How do harbours work?, expect: clean}\n"
        "      - {prompt: Who is Mirelle Quay?, expect: detected}\n"
    )
    shown = shown_target(
        load_policy(policy_file(tmp_path, target("one", "Mirelle Quay", tests=tests)))
    )
    assert shown is not None
    assert shown[1] == "Who is Mirelle Quay?"


def test_the_policy_to_edit_is_the_shown_targets(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "version: 1\ntargets:" + target("one", "Bram Tolliver", "refuse")
    )
    (tmp_path / "b.yaml").write_text("version: 1\ntargets:" + target("two", "Oriel Vance"))
    lines = to_try("http://127.0.0.1:8000", "m", load_policy(tmp_path), tmp_path)
    assert str(tmp_path / "b.yaml") in lines[2]
    assert PLAIN_QUESTION in lines[1]


def test_a_command_survives_the_shell(tmp_path: Path) -> None:
    question = 'Who\'s "Mirelle"? $HOME `id` é'
    words = shlex.split(curl("http://127.0.0.1:8000", "m", question, needs_key=False))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8000/v1/chat/completions"]
    assert json.loads(words[-1])["messages"][0]["content"] == question


def test_a_key_is_asked_for_where_there_are_tenants(tmp_path: Path) -> None:
    tenants = f"tenants:\n  - {{name: research, keys: ['sha256:{'0' * 64}']}}\n"
    file = policy_file(tmp_path, target("one", "Mirelle Quay"), more=tenants)
    lines = to_try("http://127.0.0.1:8000", "m", load_policy(file), file)
    assert all("$API_KEY" in line for line in lines[:2])
    assert "$API_KEY" not in curl("u", "m", "q", needs_key=False)
