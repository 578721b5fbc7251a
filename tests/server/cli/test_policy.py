from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from classifiers.encoder import SentenceEncoder
from guard.bundle_loading import load_bundle
from guard.errors import GuardError
from server.cli import policy as cli
from tests.guard.policy.writing import target, write
from tests.server.cli.conftest import runner

POLICIES = Path(__file__).parents[3] / "policies"
run = runner(cli.register)


@pytest.fixture(autouse=True)
def _one_encoder(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load_encoder", lambda name, api_key: encoder)


def outcome_of(*tests: tuple[str, str], **fields: Any) -> dict[str, Any]:
    return target(tests=[{"prompt": p, "expect": e} for p, e in tests], **fields)


@pytest.mark.parametrize("command", ["check", "compile"])
def test_of_several_paths_it_says_to_give_their_folder(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", tmp_path] if command == "compile" else []
    with pytest.raises(SystemExit) as ended:
        run(command, POLICIES / "harry-potter.yaml", POLICIES / "harbor-novels.yaml", *out)
    assert ended.value.code == 2
    assert "give the folder that holds them" in capsys.readouterr().err


def test_the_shipped_policies_are_valid_and_pass_their_tests(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("check", POLICIES) == 0
    out = capsys.readouterr().out
    assert "The policy is valid." in out
    assert "warning" not in out


def test_a_table_shows_what_each_target_became(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "book.txt").write_text("the ninth bell of Saltgate rings")
    path = write(
        tmp_path,
        outcome_of(("Mirelle Quay?", "detected"), ("Who?", "clean")),
        target(
            id="other",
            mode="observe",
            forbid={"verbatim": {"corpus": "*.txt", "words": 5}},
        ),
    )
    assert run("check", path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "target", "responds", "aliases", "phrases", "corpus", "examples", "thresholds", "tests",
        "passed",
    ]  # fmt: skip
    assert lines[1].split() == ["harbor", "suppress", "1", "1", "-", "0", "-", "2", "of", "2"]
    assert lines[2].split() == ["other", "observe", "1", "0", "6", "words", "0", "-", "no", "tests"]


def test_a_failed_test_says_where_it_stands_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, outcome_of(("Who is she?", "detected"), ("Mirelle Quay", "clean")))
    assert run("check", path) == 1
    out = capsys.readouterr().out
    assert f"failed: {path}:" in out
    assert "`Who is she?` was not recognised; add it to `detect.examples`" in out
    assert "`Mirelle Quay` was recognised (score 1.00)" in out
    assert "2 tests failed." in out


def test_every_problem_of_an_invalid_policy_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, target(id="No Id", forbid={"phrases": ["!"], "statements": "x"}))
    assert run("check", path) == 2
    err = capsys.readouterr().err
    assert f"error: {path}:" in err
    assert "this version does not enforce `statements`" in err
    assert "2 problems" in err
    assert run("compile", path, "--out", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


def test_warnings_do_not_fail_a_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, target(expires="2020-01-01"))
    assert run("check", path) == 0
    assert "warning: " in capsys.readouterr().out


def test_near_misses_that_equal_examples_in_all_but_a_letter_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detect = {
        "examples": ["Who is the captain of the ship?"],
        "counterexamples": ["Who is the captain of the train?"],
    }
    assert run("check", write(tmp_path, target(detect=detect))) == 0
    assert "a request must almost repeat an example" in capsys.readouterr().out


def test_compile_prints_the_digest_of_a_bundle_that_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoder: SentenceEncoder
) -> None:
    path = write(tmp_path, target(detect={"examples": ["Who is the captain?"]}))
    assert run("compile", path, "--out", tmp_path / "bundles") == 0
    digest = capsys.readouterr().out.strip()
    bundle = load_bundle(tmp_path / "bundles", digest)
    assert bundle.targets[0].id == "harbor"
    assert bundle.encoder == encoder.digest


def test_a_test_of_an_expired_target_is_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = [{"prompt": "Who is Mirelle Quay?", "expect": "detected"}]
    assert run("check", write(tmp_path, target(expires="2020-01-01", tests=tests))) == 1
    assert "was not recognised, since the target has expired" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match=r"cannot write a bundle to .*`--out`"):
        run("compile", write(tmp_path, target()), "--out", tmp_path / "file")


def test_the_schema_accepts_the_shipped_policies_and_refuses_a_wrong_field(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in POLICIES.glob("*.yaml"):
        data = yaml.safe_load(path.read_text())
        assert list(validator.iter_errors(data)) == []
        data["targets"][0]["forbid"]["statements"] = "facts.txt"
        assert list(validator.iter_errors(data)) != []
    key = "sha256:" + hashlib.sha256(b"k").hexdigest()
    full = {"version": 1, "tenants": [{"name": "a", "keys": [key], "exempt": []}]}
    assert list(validator.iter_errors(full)) == []


def test_every_field_of_the_schema_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    run("schema")
    schema = json.loads(capsys.readouterr().out)
    described = {f"#/$defs/{name}" for name, d in schema["$defs"].items() if d.get("description")}
    for model in [schema, *schema["$defs"].values()]:
        for name, field in model.get("properties", {}).items():
            assert field.get("description") or field.get("$ref") in described, name
