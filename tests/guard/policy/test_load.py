from __future__ import annotations

import contextlib
import datetime
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from guard.policy.load import load_policy
from guard.policy.problems import InvalidPolicyError
from guard.policy.trained import trained_path
from tests.guard.policy.writing import only, problems, target, verbatim, write, write_rows

MISSING = {"from": "no.jsonl", "kind": "key_facts"}
KEY = "sha256:" + hashlib.sha256(b"secret").hexdigest()


def test_a_policy_is_loaded_with_its_data_and_defaults(tmp_path: Path) -> None:
    write_rows(tmp_path / "q.jsonl", [{"question": "Who wrote it?"}, {"prompt": "Why?"}])
    (tmp_path / "near.txt").write_text("How do harbours work?\n\nWhat is a brig?\n")
    path = write(
        tmp_path,
        target(detect={"examples": "q.jsonl", "counterexamples": "near.txt"}),
        defaults={"mode": "observe", "respond": "refuse", "on_error": "open"},
        tenants=[{"name": "research", "keys": [KEY], "exempt": ["harbor"]}],
    )
    policy = load_policy(path)
    (loaded,) = policy.targets
    assert loaded.examples == ("Who wrote it?", "Why?")
    assert loaded.counterexamples == ("How do harbours work?", "What is a brig?")
    assert (loaded.mode, loaded.respond, policy.on_error) == ("observe", "refuse", "open")
    assert policy.tenants[0].exempt == ["harbor"]
    assert policy.files == (
        path,
        trained_path(path),
        tmp_path / "q.jsonl",
        tmp_path / "near.txt",
    )
    assert policy.warnings == ()


def test_a_target_overrides_the_defaults(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        target(mode="enforce", respond="observe"),
        defaults={"mode": "observe", "respond": "refuse"},
    )
    (loaded,) = load_policy(path).targets
    assert (loaded.mode, loaded.respond) == ("enforce", "observe")


@pytest.mark.parametrize(
    ("own", "default", "respond"),
    [
        (None, None, "refuse"),
        (None, "suppress", "refuse"),
        (None, "substitute", "refuse"),
        (None, "observe", "observe"),
        ("suppress", None, "suppress"),
    ],
)
def test_a_real_person_is_answered_with_an_invention_only_where_the_target_says_so(
    tmp_path: Path, own: str | None, default: str | None, respond: str
) -> None:
    fields = {"reason": "privacy"} | ({"respond": own} if own else {})
    defaults = {"respond": default} if default else {}
    (loaded,) = load_policy(write(tmp_path, target(**fields), defaults=defaults)).targets
    assert loaded.respond == respond


@pytest.mark.parametrize("reason", ["privacy", "safety"])
def test_harm_is_not_answered_with_stand_ins(tmp_path: Path, reason: str) -> None:
    error = only(write(tmp_path, target(reason=reason, respond="substitute")))
    assert error.field == "targets[0].respond"
    assert "does harm of its own" in error.problem
    assert (
        f"set `respond: refuse` (or `suppress`) for a target with `reason: {reason}`" in error.fix
    )


def test_a_default_that_does_harm_is_named_at_the_target(tmp_path: Path) -> None:
    path = write(tmp_path, target(reason="safety"), defaults={"respond": "substitute"})
    assert only(path).field == "targets[0]"


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"forbid": {"phrases": ["Quay"], "say_back": False}}, "forbid.say_back", "could not name"),
        ({"detect": {"examples": ["What is it about?"]}}, "respond", "names anything"),
        ({"forbid": {}}, "forbid", "`substitute` would hold nothing back"),
    ],
)
def test_what_cannot_be_substituted_is_named(
    tmp_path: Path, changed: dict[str, Any], field: str, said: str
) -> None:
    error = only(write(tmp_path, target(respond="substitute", **changed)))
    assert error.field == f"targets[0].{field}"
    assert said in error.problem


def test_stand_ins_are_made_only_where_they_are_asked_for(tmp_path: Path) -> None:
    (suppressed,) = load_policy(write(tmp_path, target())).targets
    (substituted,) = load_policy(write(tmp_path, target(respond="substitute"))).targets
    assert suppressed.stand_ins == ()
    assert [made.text for made in substituted.stand_ins] == ["Mirelle Quay", "Mirelle", "Quay"]


def test_a_folder_is_read_by_name_and_merged(tmp_path: Path) -> None:
    write(tmp_path, target(id="b"), name="2.yml")
    write(tmp_path, target(id="a"), name="1.yaml", defaults={"respond": "refuse"})
    write(tmp_path, target(id="hidden"), name=".3.yaml")
    (tmp_path / "notes.txt").write_text("not a policy")
    loaded = load_policy(tmp_path).targets
    assert [(t.spec.id, t.respond) for t in loaded] == [("a", "refuse"), ("b", "refuse")]


def test_defaults_in_two_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path, target(id="a"), name="1.yaml", defaults={"mode": "enforce"})
    write(tmp_path, target(id="b"), name="2.yaml", defaults={"mode": "observe"})
    error = only(tmp_path)
    assert error.field == "defaults"
    assert "1.yaml" in str(error)


def test_an_id_used_in_two_files_is_refused_naming_both(tmp_path: Path) -> None:
    write(tmp_path, target(), name="1.yaml")
    write(tmp_path, target(), name="2.yaml")
    error = only(tmp_path)
    assert error.file.endswith("2.yaml")
    assert error.field == "targets[0].id"
    assert "1.yaml" in str(error)


def change(where: str, value: Any) -> dict[str, Any]:
    """A sound target with one field set to something else."""
    fields = target()
    *parents, last = where.split(".")
    inner = fields
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
    return fields


@pytest.mark.parametrize(
    ("where", "value", "field", "said"),
    [
        ("id", "Two Words", "id", "must be a-z"),
        ("id", "_canary", "id", "must be a-z"),
        ("title", "", "title", "is empty"),
        ("title", "x" * 201, "title", "is longer than 200 characters"),
        ("reason", "fun", "reason", "must be `copyright`"),
        ("respond", "steer", "respond", "this version does not enforce `steer`"),
        ("forbid.statements", "f.txt", "forbid.statements", "`kind: telling_words`"),
        ("forbid.verbatim", {"words": 8}, "forbid.verbatim", "`corpus` is missing"),
        ("forbid.verbatim", verbatim(corpus=7), "forbid.verbatim.corpus", "must be a file pattern"),
        ("forbid.verbatim", verbatim(corpus=[]), "forbid.verbatim.corpus", "is empty"),
        ("forbid.verbatim", verbatim(corpus=["b", 7]), "forbid.verbatim.corpus[1]", "must be text"),
        ("forbid.verbatim", verbatim(corpus="*.md"), "forbid.verbatim.corpus", "no file matches"),
        ("forbid.verbatim", verbatim(corpus="a\0b"), "forbid.verbatim.corpus", "no file matches"),
        ("forbid.verbatim", verbatim(words=1), "forbid.verbatim.words", "must be at least 2"),
        ("forbid.verbatim", verbatim(words=33), "forbid.verbatim.words", "must be at most 32"),
        ("forbid.verbatim", verbatim(words="8"), "forbid.verbatim.words", "a whole number"),
        ("forbid.phrases", ["!?"], "forbid.phrases[0]", "holds no letter or digit"),
        ("forbid.phrases", ["x"], "forbid.phrases[0]", "is a single character"),
        ("forbid.phrases", [7], "forbid.phrases[0]", "must be text"),
        ("forbid.phrases", [{"text": 7}], "forbid.phrases[0].text", "must be text"),
        ("forbid.phrases", [{"strength": "soft"}], "forbid.phrases[0]", "`text` is missing"),
        ("forbid.phrases", [{"text": "ok", "strength": "x"}], "forbid.phrases[0].strength", "hard"),
        ("forbid.phrases", [], "forbid", "has nothing to forbid"),
        ("forbid.always", "yes", "forbid.always", "must be true or false"),
        ("forbid.extract", {"from": "a.jsonl", "kind": "all"}, "forbid.extract.kind", "key_facts"),
        ("forbid.extract", MISSING, "forbid.extract.from", "no such file"),
        ("detect.aliases", ["--"], "detect.aliases[0]", "holds no letter or digit"),
        ("detect.aliases", ["é"], "detect.aliases[0]", "is a single character"),
        ("detect.aliases", "Mirelle", "detect.aliases", "must be a list"),
        ("detect.aliases", [], "detect", "has neither aliases nor examples"),
        ("detect.alias", [], "detect.alias", "is not a field of a policy; did you mean `aliases`?"),
        ("aliases", ["Orrin"], "aliases", "not a field of `targets`; it belongs to `detect`"),
        ("detect.respond", "refuse", "detect.respond", "belongs to `defaults` or `targets`"),
        ("detect.version", 1, "detect.version", "it belongs to the top of the file"),
        ("tests", [{"prompt": "Who", "exactly?": None, "expect": "clean"}],
         "tests[0].exactly?", "put quotes around the whole text"),
        ("title", True, "title", "YAML reads yes, no, on, off"),
        ("title", datetime.date(1984, 1, 1), "title", "YAML reads it as a date"),
        ("owner", None, "owner", "must be text; give it a value"),
        ("detect.aliases", [{"Harbor": "a tale"}], "detect.aliases[0]", "reads a `:` in it"),
        ("forbid.phrases", [{"Harbor": "a tale"}], "forbid.phrases[0]", "reads a `:` in it"),
        ("expires", "2027-02-30", "expires", "is no day of the calendar"),
        ("detect.examples", "no.jsonl", "detect.examples", "no such file"),
        ("detect.examples", "policy.yaml", "detect.examples", "neither a .jsonl nor a .txt"),
        ("detect.examples", ".", "detect.examples", "neither a .jsonl nor a .txt"),
        ("detect.examples", 3, "detect.examples", "must be the path of a file or a list"),
        ("detect.examples", [], "detect.examples", "is empty"),
        ("detect.examples", [" "], "detect.examples[0]", "is blank"),
        ("detect.threshold", 1.5, "detect.threshold", "must be at most 1"),
        ("detect.threshold", True, "detect.threshold", "must be a number"),
        ("detect.max_false_positive_rate", 0, "detect.max_false_positive_rate", "must be above 0"),
        ("expires", "soon", "expires", "must be a date"),
        ("expires", datetime.datetime(2030, 1, 1, 12), "expires", "date"),
        ("refusal", "Ask Mirelle Quay.", "refusal", "says the forbidden phrase `Mirelle Quay`"),
        ("tests", [{"prompt": "x", "expect": "maybe"}], "tests[0].expect", "`detected` or `clean`"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_file_line_field_and_fix(
    tmp_path: Path, where: str, value: Any, field: str, said: str
) -> None:
    path = write(tmp_path, change(where, value))
    error = only(path)
    assert error.field == f"targets[0].{field}"
    assert said in str(error)
    assert error.file == str(path)
    assert error.line > 1


def tenants(*names: str, **fields: Any) -> dict[str, Any]:
    return {"tenants": [{"name": name, **fields} for name in names or ("a",)]}


@pytest.mark.parametrize(
    ("top", "field", "said"),
    [
        ({"version": 2}, "version", "must be 1"),
        ({"verison": 1}, "verison", "did you mean `version`?"),
        ({"targets": {}}, "targets", "must be a list"),
        ({"defaults": {"mode": "on"}}, "defaults.mode", "must be `enforce` or `observe`"),
        (tenants(keys=["secret"]), "tenants[0].keys[0]", "must be `sha256:`"),
        (tenants(keys=[]), "tenants[0].keys", "is empty"),
        (tenants(keys=[KEY], exempt=["no"]), "tenants[0].exempt[0]", "no target has the id `no`"),
        (tenants("a", "b", keys=[KEY]), "tenants[1].keys[0]", "also a key of tenant `a`"),
        (tenants("a", "a", keys=[KEY]), "tenants[1].name", "the name of another tenant"),
    ],
)  # fmt: skip
def test_a_bad_part_of_the_file_is_named(
    tmp_path: Path, top: dict[str, Any], field: str, said: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "targets": [target()], **top}))
    error = only(path)
    assert error.field == field
    assert said in str(error)


def test_a_digest_in_capitals_is_the_same_digest(tmp_path: Path) -> None:
    path = write(tmp_path, target(), tenants=[{"name": "a", "keys": ["sha256:" + "AB" * 32]}])
    assert load_policy(path).tenants[0].keys == ["sha256:" + "ab" * 32]


def test_a_missing_field_is_named_at_its_target(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\ntargets:\n  - id: a\n    title: A\n    reason: privacy\n"
        "    detect: {aliases: [Zork]}\n    forbid: {phrases: [Zork]}\n"
    )
    error = only(path)
    assert (error.line, error.field) == (3, "targets[0]")
    assert "`owner` is missing" in str(error)


def test_every_problem_is_reported_not_only_the_first(tmp_path: Path) -> None:
    write(tmp_path, target(id="A"), target(forbid={"phrases": ["!"]}), name="1.yaml")
    (tmp_path / "2.yaml").write_text("version: [1\n")
    (tmp_path / "3.yaml").write_text("")
    found = problems(tmp_path)
    assert [(Path(e.file).name, e.field) for e in found] == [
        ("1.yaml", "targets[0].id"),
        ("1.yaml", "targets[1].forbid.phrases[0]"),
        ("2.yaml", ""),
        ("3.yaml", ""),
    ]
    with pytest.raises(InvalidPolicyError) as caught:
        load_policy(tmp_path)
    assert str(caught.value).count("\n") == 3
    assert all(str(error) in str(caught.value) for error in found)


def test_a_broken_line_of_a_data_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "ok?"}\n\n{"question": \n')
    error = only(write(tmp_path, change("detect.examples", "q.jsonl")))
    assert (error.file, error.line) == (str(tmp_path / "q.jsonl"), 3)
    (tmp_path / "q.jsonl").write_text('{"q": "ok?"}\n')
    error = only(write(tmp_path, change("detect.examples", "q.jsonl")))
    assert error.line == 1
    assert "`prompt` or `question`" in str(error)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00", b'{"question": "\\ud800"}\n'])
def test_a_data_file_without_usable_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "q.jsonl").write_bytes(content)
    assert "q.jsonl" in str(only(write(tmp_path, change("detect.examples", "q.jsonl"))))


def test_an_example_that_is_also_a_counterexample_is_refused(tmp_path: Path) -> None:
    detect = {"examples": ["Who rings the bell?"], "counterexamples": ["who rings the BELL"]}
    error = only(write(tmp_path, target(detect=detect)))
    assert error.field == "targets[0].detect.counterexamples"


def test_answers_without_facts_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"question": "Why?", "answer": "because it is so."}])
    path = write(tmp_path, target(forbid={"extract": {"from": "a.jsonl", "kind": "key_facts"}}))
    assert "found no key facts" in str(only(path))


@pytest.mark.parametrize("kind", ["key_facts", "telling_words"])
def test_everyday_words_are_not_taken_from_every_answer(tmp_path: Path, kind: str) -> None:
    write_rows(tmp_path / "a.jsonl", [{"question": "Who?", "answer": "Mirelle Quay, a florist."}])

    def always(kind: str) -> Path:
        extract = {"from": "a.jsonl", "kind": kind}
        return write(tmp_path, target(forbid={"extract": extract, "always": True}))

    error = only(always("all_words"))
    assert error.field == "targets[0].forbid.extract.kind"
    assert "`telling_words`" in error.fix
    assert load_policy(always(kind)).targets[0].extracted.facts[0] == "Mirelle Quay"


def test_a_file_of_too_many_phrases_is_refused_and_the_other_way_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "a.jsonl", [{"question": "Who?", "answer": "Mirelle Quay, a florist."}])
    extract = {"from": "a.jsonl", "kind": "all_words", "words": 1}
    path = write(tmp_path, target(forbid={"extract": extract}))
    found = len(load_policy(path).targets[0].extracted)
    monkeypatch.setattr("guard.policy.checks.MAX_EXTRACTED", found)
    load_policy(path)
    monkeypatch.setattr("guard.policy.checks.MAX_EXTRACTED", found - 1)
    error = only(path)
    assert error.field == "targets[0].forbid.extract.from"
    assert f"{found} phrases" in error.problem
    assert "`forbid.verbatim`" in error.fix


@pytest.mark.parametrize("words", [0, 9, "two"])
def test_runs_of_an_answers_words_have_bounds(tmp_path: Path, words: object) -> None:
    write_rows(tmp_path / "a.jsonl", [{"question": "Who?", "answer": "Mirelle Quay, a florist."}])
    extract = {"from": "a.jsonl", "kind": "key_facts", "words": words}
    error = only(write(tmp_path, target(forbid={"extract": extract})))
    assert error.field == "targets[0].forbid.extract.words"


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"expires": "2020-01-01"}, "expires", "expired on 2020-01-01"),
        ({"forbid": {"phrases": ["Oz"]}}, "forbid.phrases[0]", "is so short"),
        ({"forbid": {"phrases": ["the"]}}, "forbid.phrases[0]", "is an everyday word"),
        ({"detect": {"aliases": ["April"]}}, "detect.aliases[0]", "is an everyday word"),
        (
            {"detect": {"aliases": ["Mirelle Quay"], "threshold": 0.8}},
            "detect.threshold",
            "has no effect without `examples`",
        ),
    ],
)
def test_what_is_likely_not_meant_is_a_warning(
    tmp_path: Path, fields: dict[str, Any], field: str, said: str
) -> None:
    (warning,) = load_policy(write(tmp_path, target(**fields))).warnings
    assert warning.field == f"targets[0].{field}"
    assert said in str(warning)
    assert warning.line > 1


def test_an_everyday_word_may_be_soft(tmp_path: Path) -> None:
    path = write(tmp_path, target(forbid={"phrases": [{"text": "the", "strength": "soft"}]}))
    assert load_policy(path).warnings == ()


def test_a_target_holds_on_the_day_it_expires(tmp_path: Path) -> None:
    path = write(tmp_path, target(expires=datetime.date(2030, 5, 1)))
    assert load_policy(path, today=datetime.date(2030, 5, 1)).warnings == ()
    assert load_policy(path, today=datetime.date(2030, 5, 2)).warnings != ()


def test_a_policy_without_targets_is_a_warning(tmp_path: Path) -> None:
    (warning,) = load_policy(write(tmp_path)).warnings
    assert "nothing is guarded" in str(warning)


def test_what_is_not_there_or_holds_no_policy_is_refused(tmp_path: Path) -> None:
    assert "no such file or folder" in str(only(tmp_path / "no"))
    assert "folder holds no policy" in str(only(tmp_path))
    (tmp_path / "p.yaml").write_bytes(b"\xff\xff")
    assert "is not UTF-8 text" in str(only(tmp_path))
    (tmp_path / "p.yaml").unlink()
    (tmp_path / "p.yaml").symlink_to(tmp_path / "gone.yaml")
    assert "a link that leads to no file" in str(only(tmp_path))
    (tmp_path / "p.yaml").unlink()
    (tmp_path / "p.yaml").mkdir()
    assert "give the folder a name" in str(only(tmp_path))


FIELDS = {*target(), "version", "defaults", "targets", "tenants", "aliases", "examples", "phrases"}
FIELDS |= {"verbatim", "corpus", "words"}
FIELDS |= {"extract", "from", "kind", "text", "respond", "tests", "keys", "exempt", "expires"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted(FIELDS)) | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries(
        {"version": st.just(1)},
        optional={"targets": VALUES, "tenants": VALUES, "defaults": VALUES, "other": VALUES},
    )
    | VALUES
)
def test_the_loader_raises_nothing_but_policy_errors(data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.yaml"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        with contextlib.suppress(InvalidPolicyError):
            load_policy(path)


@given(st.sampled_from(sorted(target())), VALUES)
def test_a_sound_target_with_any_field_replaced_gives_only_policy_errors(
    name: str, value: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(InvalidPolicyError):
        load_policy(write(Path(folder), {**target(), name: value}))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_a_policy_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.yaml"
        path.write_bytes(data)
        with contextlib.suppress(InvalidPolicyError):
            load_policy(path)
