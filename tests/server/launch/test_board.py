"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io

from server.launch.board import Board


class Terminal(io.StringIO):
    """A terminal to write on."""

    def isatty(self) -> bool:
        return True


def test_elsewhere_a_part_gets_a_line_when_it_changes() -> None:
    now = [0.0]
    out = io.StringIO()
    board = Board(out, clock=lambda: now[0])
    board.show(engine="starting", proxy="starting")
    now[0] = 7.4
    board.show(engine="starting", proxy="ready")
    board.line("done")
    assert out.getvalue() == (
        "   0 s  engine: starting\n   0 s  proxy: starting\n   7 s  proxy: ready\ndone\n"
    )


def test_on_a_terminal_one_line_is_redrawn_with_the_time() -> None:
    now = [0.0]
    out = Terminal()
    board = Board(out, clock=lambda: now[0])
    board.show(engine="starting")
    now[0] = 3.0
    board.show(engine="starting")
    board.told("proxy: ready")
    assert out.getvalue().count("\n") == 0
    frames = out.getvalue().split("\r\033[K")
    assert frames[1:] == [
        "   0 s  engine: starting",
        "   3 s  engine: starting",
        "   3 s  engine: starting · proxy: ready",
    ]


def test_a_line_that_stays_replaces_the_redrawn_one() -> None:
    out = Terminal()
    board = Board(out, clock=lambda: 0.0)
    board.show(engine="ready")
    board.line("up")
    assert out.getvalue().endswith("\r\033[Kup\n")
