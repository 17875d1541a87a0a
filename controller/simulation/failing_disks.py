"""Failing disks: watchers of a store's file operations that fail one, or cut the power before it.

What a machine finds after a power cut is made from the order of operations alone: what was not
flushed by then may be there or not (as in Pillai et al. 2014, "All File Systems Are Not Created
Equal").
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from pathlib import Path

from results.disk import Operation


class PowerCutError(BaseException):
    """The process ends here; nothing of it may clean up."""


class FailingDisk:
    """Fails one operation, by its number, or every one from there on."""

    def __init__(self, at: int, how: str, *, for_good: bool = False) -> None:
        """`how`: the name of an error, `short` for half a write and then a full disk, or `cut`."""
        self.at, self.how, self.for_good = at, how, for_good
        self.count = 0
        self._short = False

    def before(self, operation: Operation, path: Path, data: bytes) -> int | None:
        """Let it pass, or not."""
        number = self.count
        self.count += 1
        if self._short:
            self._short = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if number != self.at and not (self.for_good and number > self.at):
            return None
        if self.how == "cut":
            self.for_good = True
            raise PowerCutError
        if self.how == "short":
            if operation != "write":
                return None
            self._short = True
            return len(data) // 2
        code = getattr(errno, self.how)
        raise OSError(code, os.strerror(code), str(path))


class ForgetfulDisk:
    """Keeps what a disk may hold after a power cut: what was not flushed may be there or not.

    Content that was written since a file's last flush survives in part, by sectors; of the names
    that were made, replaced or removed since a folder's last flush, those up to some one survive.
    """

    SECTOR = 64  # smaller than real ones, so that records are torn

    def __init__(self, root: Path, cut: int, seed: int) -> None:
        self.root, self.cut = root, cut
        self.count = 0
        self._chance = random.Random(seed)
        there = {path: path.stat().st_ino for path in root.rglob("*") if path.is_file()}
        self._names: dict[Path, int] = there  # the durable ones, and their inodes
        self._flushed = {inode: path.read_bytes() for path, inode in there.items()}
        self._changes: dict[Path, list[dict[Path, int | None]]] = {}  # by folder, not flushed

    def before(self, operation: Operation, path: Path, data: bytes) -> int | None:
        """Note what becomes durable; the power goes before operation `cut`."""
        if self.count == self.cut:
            raise PowerCutError
        self.count += 1
        if operation == "rename":
            new = Path(os.fsdecode(data))
            self._renamed(path.parent, {path: None, new: path.stat().st_ino})
        elif operation == "remove" and path.exists():
            self._renamed(path.parent, {path: None})
        elif operation == "flush":
            self._flushed[path.stat().st_ino] = path.read_bytes()
        elif operation == "flush folder":
            self._apply(path, len(self._changes.get(path, ())))
        return None

    def _renamed(self, folder: Path, names: dict[Path, int | None]) -> None:
        self._changes.setdefault(folder, []).append(names)

    def _apply(self, folder: Path, count: int) -> None:
        """Make the first changes of a folder's names durable."""
        changes = self._changes.get(folder, [])
        for names in changes[:count]:
            for name, inode in names.items():
                if inode is None:
                    self._names.pop(name, None)
                else:
                    self._names[name] = inode
        del changes[:count]

    def after_the_cut(self, to: Path) -> None:
        """The run as the machine finds it when it starts again, in the folder `to`."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        now = {path.stat().st_ino: path.read_bytes() for path in files}
        for folder, changes in self._changes.items():
            self._apply(folder, self._chance.randint(0, len(changes)))
        shutil.copytree(self.root, to, ignore=lambda folder, names: [
            name for name in names if (Path(folder) / name).is_file()
        ])  # fmt: skip
        for name, inode in self._names.items():
            content = self._surviving(self._flushed.get(inode, b""), now.get(inode))
            (to / name.relative_to(self.root)).write_bytes(content)

    def _surviving(self, flushed: bytes, now: bytes | None) -> bytes:
        """What was flushed, and any sectors of what was appended since; lost ones are zeros."""
        if now is None or self._chance.random() < 0.3 or not now.startswith(flushed):
            return flushed
        kept = bytearray(now[: self._chance.randint(len(flushed), len(now))])
        first = -(-len(flushed) // self.SECTOR) * self.SECTOR
        for start in range(first, len(kept), self.SECTOR):
            if self._chance.random() < 0.3:
                kept[start : start + self.SECTOR] = bytes(len(kept[start : start + self.SECTOR]))
        return bytes(kept)
