"""What the figure is made of, where there is no GPU to measure it on."""

import pytest
import torch

from load_tests.figure import NotMeasurableError
from load_tests.figures import gpu_step


def test_a_machine_without_a_gpu_is_told_so() -> None:
    pytest.importorskip("triton", reason="Triton is not installed; torch for GPUs brings it")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(NotMeasurableError, match="GPU"):
        gpu_step.time_kernels(gpu_step.SIZES)


def test_texts_begin_names_and_never_say_one_or_split_every_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_step, "VOCABULARY", 2000)
    vocabulary, names = gpu_step._vocabulary(), gpu_step._names(50)
    assert len(vocabulary) == len(set(vocabulary)) == 2000
    beginnings = {name[:end] for name in names for end in range(1, len(name))}
    for text in gpu_step._texts(vocabulary, names, 4, splits=False).texts:
        said = b"".join(vocabulary[token] for token in text).decode()
        assert any(name[:4] in said for name in names)
        assert said.split()[0] in beginnings
    run = gpu_step._texts(vocabulary, names, 4, splits=True)
    for text in run.texts:
        assert all(len(vocabulary[token]) == 1 for token in text[run.prompt :])
        assert all(vocabulary[token] >= b"\x80" for token in text[run.prompt :])
