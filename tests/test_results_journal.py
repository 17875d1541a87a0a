"""Whatever a crash or a bad disk does to a journal, no wrong record is ever read from it."""

import os
from pathlib import Path

import pytest

from results import RunError
from results.journal import Journal, encode, parse_journal, read_journal, salvage

RECORDS = [{"row": {"trial": i, "text": "x" * (i % 7), "value": i / 3}} for i in range(20)]
LINES = [encode(record) for record in RECORDS]
DATA = b"".join(LINES)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "000001.log"
    path.write_bytes(DATA)
    return path


def test_every_prefix_is_whole_records_and_the_beginning_of_one() -> None:
    ends = [sum(map(len, LINES[:n])) for n in range(len(LINES) + 1)]
    for cut in range(len(DATA) + 1):
        content = parse_journal(DATA[:cut])
        whole = sum(end <= cut for end in ends) - 1
        assert content.records == RECORDS[:whole]
        assert content.good_bytes == ends[whole]
        assert content.damaged is None


def test_a_journal_is_continued_where_its_last_whole_record_ends(journal: Path) -> None:
    cut = len(DATA) - 7
    journal.write_bytes(DATA[:cut] + b"\0\0\0")
    assert read_journal(journal) == RECORDS[:-1]
    continued = Journal(journal, parse_journal(journal.read_bytes()).good_bytes)
    continued.append({"next": cut})
    continued.close()
    assert read_journal(journal) == [*RECORDS[:-1], {"next": cut}]


@pytest.mark.parametrize(
    "tail",
    [
        b"garbage\n",
        b"\n\n",
        b"\xff\n\xfe",
        b"0badc0de 3 abcd",
        LINES[0][:-1] + b"}",
        b"0badc0de 1 x",
    ],
)
def test_what_no_crash_of_a_process_leaves_is_refused(journal: Path, tail: bytes) -> None:
    journal.write_bytes(DATA + tail)
    with pytest.raises(RunError, match="record 21 is damaged, the last one; attnas doctor"):
        read_journal(journal)
    content = parse_journal(DATA + tail)
    assert (content.records, content.rest) == (RECORDS, tail)


def test_every_flipped_bit_is_noticed_and_no_other_record_is_lost() -> None:
    for bit in range(8 * len(DATA)):
        flipped = bytearray(DATA)
        flipped[bit // 8] ^= 1 << bit % 8
        content = parse_journal(bytes(flipped))
        assert content.damaged is not None
        assert content.records == RECORDS[: content.damaged - 1]
        kept = salvage(bytes(flipped))
        assert len(kept) >= len(RECORDS) - 2  # a flipped newline makes one of two
        assert [record for record in RECORDS if record in kept] == kept


def test_damage_before_good_records_names_the_file_and_the_record(journal: Path) -> None:
    journal.write_bytes(DATA.replace(LINES[4], b"nonsense\n"))
    with pytest.raises(RunError, match=r"000001\.log: record 5 is damaged, and good ones follow"):
        read_journal(journal)


def test_a_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.touch()
    journal = Journal(path, 0)
    for n, record in enumerate(RECORDS):
        journal.append(record)
        assert read_journal(path) == RECORDS[: n + 1]
    journal.close()
    journal.close()
    with pytest.raises(AssertionError, match="closed"):
        journal.append({})
    assert os.path.getsize(path) == len(DATA)
