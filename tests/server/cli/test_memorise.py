"""What `unlearn-guard memorise` refuses before it trains for minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.__main__ import main


def test_data_and_models_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"--out={tmp_path / 'out'}"
    assert main(["memorise", str(tmp_path), out, f"--model={tmp_path}"]) == 2
    assert "no `config.json`" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    assert main(["memorise", str(tmp_path), out, f"--model={tmp_path}"]) == 2
    assert "no `forget.jsonl`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
