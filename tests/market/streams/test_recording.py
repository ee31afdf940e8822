"""The recording: what was written is read, whatever its end was torn by."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from market.streams.recording import Entry, Recording, Segment, read_segments

STATE = Entry(1, "state", 0, "{}")

texts = st.one_of(
    st.text(), st.sampled_from(["", "\n", "a\tb\nc", "\r\n", '{"a": "ü\u2028"}', "\x00", "\ud800"])
)
entries = st.lists(
    st.builds(
        Entry,
        received=st.integers(0, 2**60),
        event=st.sampled_from(["open", "frame", "close"]),
        connection=st.integers(0, 2**60),
        text=texts,
    ),
    max_size=20,
)


@given(st.lists(entries, max_size=5))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[Entry]]
) -> None:
    folder = tmp_path_factory.mktemp("recording")
    recording = Recording(folder)
    recording.start_segment(STATE)
    for block in blocks:
        recording.write(block)
    recording.close()
    (segment,) = read_segments(folder)
    assert list(segment.entries()) == [STATE, *(entry for block in blocks for entry in block)]


def test_a_torn_end_leaves_whole_blocks(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.start_segment(STATE)
    ends = {recording.bytes: 1}
    for number in range(1, 6):
        recording.write([Entry(number, "frame", 7, f"frame {number}")] * 3)
        ends[recording.bytes] = 1 + 3 * number
    recording.close()
    (segment,) = read_segments(tmp_path)
    whole = segment.path.read_bytes()
    everything = list(segment.entries())
    torn = tmp_path / "torn"
    for length in range(len(whole)):
        torn.write_bytes(whole[:length])
        right = max((count for end, count in ends.items() if end <= length), default=0)
        assert list(Segment(torn, 0).entries()) == everything[:right]
    for place in range(0, len(whole), 7):  # a bit that fell over
        torn.write_bytes(whole[:place] + bytes([whole[place] ^ 8]) + whole[place + 1 :])
        rest = list(Segment(torn, 0).entries())
        assert rest == everything[: len(rest)]
        assert len(rest) < len(everything)


def test_two_streams_never_record_into_one_folder(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    with pytest.raises(InputError, match=r"another stream records into .*BRAIN_FRAMES"):
        Recording(tmp_path)
    recording.close()
    Recording(tmp_path).close()


def test_old_segments_are_deleted_once_later_ones_are_old_enough(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    for since in (100, 200, 300):
        recording.start_segment(Entry(since, "state", 0, "{}"))
    assert recording.expire(199) == 0  # the first holds what came until 200
    assert recording.expire(200) == 1
    assert [segment.since for segment in read_segments(tmp_path)] == [200, 300]
    assert recording.expire(10**9) == 1  # the newest stays
    recording.close()
