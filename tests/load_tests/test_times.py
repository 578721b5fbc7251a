"""What a watch writes is read back as the time of one step."""

from pathlib import Path

from load_tests.times import line_of, read_times


def test_each_line_is_the_mean_of_its_steps(tmp_path: Path) -> None:
    file = tmp_path / "times.txt"
    file.write_text(line_of("flagged", 32, 0.064) + line_of("flagged", 8, 0.004))
    assert read_times(file, "flagged") == [0.002, 0.0005]


def test_steps_of_the_other_kind_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "times.txt"
    file.write_text(line_of("unflagged", 32, 0.00064) + line_of("flagged", 8, 0.004))
    assert read_times(file, "unflagged") == [0.00002]
