"""Bits: the one flipped bit of a file found and turned back, where a checksum proves that it was.

A disk that rots flips single bits. A file of n bits has n that may be the one, and a checksum of
256 bits leaves no doubt about which: so each is tried. A record's 32 bits are as many as tell all
single flips of it apart, and a record must also be what a journal may hold.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from results.journal import decode, parse_journal

PATIENCE_S = 30.0  # for one file: enough for 120 kB, which is a segment of some 1,000 rows


def turned_back(
    data: bytes, sha256: str, first: Iterable[range] = (), patience_s: float = PATIENCE_S
) -> bytes | None:
    """The bytes with one bit changed that have the checksum; None where no such bit is found.

    `first`: places where it is likely to be.
    """
    give_up = time.monotonic() + patience_s
    wanted, view = bytes.fromhex(sha256), memoryview(data)
    for places in chain(first, [range(len(data))]):
        before = hashlib.sha256(view[: places.start])
        for place in places:
            rest = view[place + 1 :]
            for bit in range(8):
                flipped = bytes([data[place] ^ 1 << bit])
                tried = before.copy()
                tried.update(flipped)
                tried.update(rest)
                if tried.digest() == wanted:
                    return b"".join((view[:place], flipped, rest))
            before.update(view[place : place + 1])
            if time.monotonic() > give_up:
                return None
    return None


def first_right(
    data: bytes, is_right: Callable[[bytes], bool], patience_s: float = PATIENCE_S
) -> bytes | None:
    """The bytes with the first bit changed that makes them right."""
    give_up = time.monotonic() + patience_s
    for tried in _with_one_bit_changed(data):
        if is_right(tried):
            return tried
        if time.monotonic() > give_up:
            return None
    return None


def _with_one_bit_changed(data: bytes) -> Iterator[bytes]:
    changed = bytearray(data)
    for place in range(len(data)):
        for bit in range(8):
            changed[place] ^= 1 << bit
            yield bytes(changed)
            changed[place] ^= 1 << bit


def mended_journal(data: bytes) -> bytes | None:
    """A journal with one bit turned back in each damaged stretch; None where that is not enough."""
    whole: list[bytes] = []
    for good, stretch in _stretches(data):
        mended = stretch if good else first_right(stretch, _is_records)
        if mended is None:
            return None
        whole.append(mended)
    return b"".join(whole)


def _stretches(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """Parts that are good, or the beginning of a record at the end, and parts that are not."""
    *lines, tail = data.split(b"\n")
    bad: list[bytes] = []
    for line in lines:
        if decode(line) is None:
            bad.append(line + b"\n")
            continue
        if bad:
            yield False, b"".join(bad)
            bad = []
        yield True, line + b"\n"
    rest = b"".join(bad) + tail
    if rest:
        yield not bad and parse_journal(tail).damaged is None, rest


def _is_records(data: bytes) -> bool:
    """Whether all of it is records; one at the end may have lost its newline."""
    content = parse_journal(data)
    return content.good_bytes == len(data)
