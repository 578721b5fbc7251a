from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import sse
from server.sse import EventTooLargeError, ServerSentEvent, SseDecoder, encode_event


def whole(data: bytes) -> list[ServerSentEvent]:
    """The slow, obvious reading: all lines at once."""
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events = []
    for block in [lines for lines in _blocks(text.split(b"\n")) if lines]:
        values = [
            line.partition(b":")[2].removeprefix(b" ") for line in block if _is(line, b"data")
        ]
        kinds = [
            line.partition(b":")[2].removeprefix(b" ") for line in block if _is(line, b"event")
        ]
        if values:
            events.append(
                ServerSentEvent(
                    b"\n".join(values), kinds[-1].decode("utf-8", "replace") if kinds else ""
                )
            )
    return events


def _is(line: bytes, name: bytes) -> bool:
    return line.partition(b":")[0] == name


def _blocks(lines: list[bytes]) -> list[list[bytes]]:
    blocks: list[list[bytes]] = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        else:
            blocks.append([])
    return blocks


def decoded(pieces: list[bytes]) -> list[ServerSentEvent]:
    decoder = SseDecoder()
    events = [event for piece in pieces for event in decoder.decode(piece)]
    return events + decoder.flush()


lines = st.sampled_from(
    [
        'data: {"a":1}',
        "data:é漢🙂",
        "data",
        "data:",
        ": note",
        "event: error",
        "id: 7",
        "dat",
        " data:x",
        "\ufeff",
    ]
)
ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r", "\n\r\n"])
streams = st.lists(st.tuples(lines, ends), max_size=8).map(
    lambda parts: "".join(line + end for line, end in parts).encode()
)


@given(streams, st.data())
def test_any_split_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert decoded(pieces) == whole(stream)


def test_every_split_point_of_a_stream_with_wide_characters() -> None:
    stream = 'data: {"t":"é漢🙂"}\r\n\r\nevent: x\ndata: a\ndata: b\n\ndata: [DONE]\n\n'.encode()
    expected = whole(stream)
    assert [event.data for event in expected] == ['{"t":"é漢🙂"}'.encode(), b"a\nb", b"[DONE]"]
    for cut in range(len(stream) + 1):
        assert decoded([stream[:cut], stream[cut:]]) == expected
    assert decoded([stream[i : i + 1] for i in range(len(stream))]) == expected


@given(st.binary(max_size=200).filter(lambda data: data != b""))
def test_what_is_encoded_is_decoded_alike(data: bytes) -> None:
    expected = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert decoded([encode_event(data)]) == [ServerSentEvent(expected)]


def test_an_event_that_the_stream_ends_in_is_flushed() -> None:
    assert decoded([b"data: [DONE]"]) == [ServerSentEvent(b"[DONE]")]


def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    with pytest.raises(EventTooLargeError):
        decoded([b"x" * 10] * 20)
