"""Memory limit: what this machine can give, or the container (control group) that it runs in.

Control groups: docs.kernel.org/admin-guide/cgroup-v2.html (memory.max) and cgroup-v1/memory.html
(memory.limit_in_bytes). A group has no more than any group above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes of memory in all; `root` is where /proc and /sys lie."""
    limits = [limit for path in _limit_files(root) if (limit := _number(path)) is not None]
    return min([psutil.virtual_memory().total, *limits])


def _limit_files(root: Path) -> Iterator[Path]:
    """Files that may limit this process, in its group and in those above."""
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            folder, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        # inside a container the path may be the host's: then the mount itself is the group
        group = Path(path.lstrip("/"))
        yield from (folder / above / name for above in (group, *group.parents))


def _number(path: Path) -> int | None:
    """Bytes; none where there is no such file or no limit (`max`)."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
