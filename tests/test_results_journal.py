"""Whatever a crash or a bad disk does to a journal, no wrong record is ever read from it."""

import os
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results import RunError
from results.journal import Journal, encode, read_journal, repair_journal

RECORDS = [{"row": {"trial": i, "text": "x" * (i % 7), "value": i / 3}} for i in range(20)]
LINES = [encode(record) for record in RECORDS]
DATA = b"".join(LINES)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "000001.log"
    path.write_bytes(DATA)
    return path


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, len(DATA)))
def test_every_prefix_reads_as_a_prefix_and_can_be_continued(cut: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.log"
        path.write_bytes(DATA[:cut])
        whole = sum(len(b"".join(LINES[: n + 1])) <= cut for n in range(len(LINES)))
        assert read_journal(path)[0] == RECORDS[:whole]
        assert repair_journal(path) == RECORDS[:whole]
        journal = Journal(path)
        journal.append({"next": cut})
        journal.close()
        assert read_journal(path)[0] == [*RECORDS[:whole], {"next": cut}]


@pytest.mark.parametrize("tail", [b"\0" * 40, b"garbage\n", b"\n\n", LINES[0][:-1], b"\xff\n\xfe"])
def test_a_bad_tail_is_ignored_by_readers_and_cut_off_by_the_writer(
    journal: Path, tail: bytes
) -> None:
    journal.write_bytes(DATA + tail)
    assert read_journal(journal) == (RECORDS, len(DATA))
    assert repair_journal(journal) == RECORDS
    assert journal.read_bytes() == DATA


def test_a_flipped_bit_is_refused_or_ignored_at_the_tail(journal: Path) -> None:
    chance = random.Random(0)
    refused = 0
    for _ in range(500):
        bit = chance.randrange(8 * len(DATA))
        flipped = bytearray(DATA)
        flipped[bit // 8] ^= 1 << bit % 8
        journal.write_bytes(flipped)
        try:
            records, _ = read_journal(journal)
        except RunError:
            refused += 1
        else:
            assert records == RECORDS[: len(records)]
            assert len(records) >= len(RECORDS) - 2, "only the tail may go"
    assert refused > 400


def test_damage_before_good_records_names_the_file_and_the_record(journal: Path) -> None:
    journal.write_bytes(DATA.replace(LINES[4], b"nonsense\n"))
    with pytest.raises(RunError, match=r"000001\.log: record 5 is damaged and good ones follow"):
        read_journal(journal)


def test_a_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.touch()
    journal = Journal(path)
    for n, record in enumerate(RECORDS):
        journal.append(record)
        assert read_journal(path)[0] == RECORDS[: n + 1]
    journal.close()
    journal.close()
    with pytest.raises(AssertionError, match="closed"):
        journal.append({})
    assert os.path.getsize(path) == len(DATA)
