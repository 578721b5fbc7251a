"""Where a step is compiled, that is done before any request; where it cannot be, torch does it."""

from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch

from guard.bundle_loading import load_engine_bundle
from guard.bundle_writing import write_bundle
from guard.engine import cpu
from guard.engine.bundles import LoadedBundle
from guard.engine.cpu import step
from guard.engine.cpu.reader import HostReader
from guard.engine.matcher import Tokens
from guard.engine.reader import TextReader, reader_of
from guard.engine.symbols import symbol_vocabulary
from guard.phrase_table import BundlePhrase
from tests.guard.engine.conftest import target

VOCABULARY = [b" red", b" wine", b"wine", b" blue"]


def tokens() -> Tokens:
    return Tokens(symbol_vocabulary(VOCABULARY), torch.device("cpu"))


def banned(root: Path, digest: str) -> list[bool]:
    """After "red", with whatever penalises here."""
    vocabulary = tokens()
    loaded = LoadedBundle(load_engine_bundle(root, digest), vocabulary)
    state = reader_of(vocabulary).read_texts([[0]])
    logits = torch.zeros(1, len(VOCABULARY))
    loaded.penalise(logits, torch.arange(1), state, torch.ones(1, 1, dtype=torch.bool))
    return [value == float("-inf") for value in logits[0].tolist()]


@pytest.mark.parametrize("numba", [True, False])
def test_a_bundle_forbids_the_same_with_numba_and_without(
    numba: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_bundle(
        tmp_path, targets=[target("wine")], phrases=[BundlePhrase("red wine", 0, "hard")]
    )
    monkeypatch.setattr(
        cpu, "find_spec", lambda _name: ModuleSpec("numba", None) if numba else None
    )
    steps: list[int] = []
    penalise = step.HostStep.penalise

    def counted(*given: Any) -> None:
        steps.append(1)
        penalise(*given)

    monkeypatch.setattr(step.HostStep, "penalise", counted)
    assert banned(tmp_path, made.digest) == [False, True, True, False]
    assert bool(steps) == numba


def test_all_loops_are_compiled_when_the_reader_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []
    monkeypatch.setattr(step, "compile_all", lambda: compiled.append(1))
    assert isinstance(reader_of(tokens()), HostReader)
    assert compiled == [1]


def test_without_numba_torch_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "find_spec", lambda _name: None)
    assert type(reader_of(tokens())) is TextReader
