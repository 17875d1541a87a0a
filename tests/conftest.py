"""What all tests share: a device lock of their own, so that a search on this machine goes on.

And Ray's settings, which it reads once in a process, in whatever order tests come.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.engines import ray_environment


@pytest.fixture(autouse=True)
def _nothing_cached() -> Iterator[None]:
    """What the dashboard's pages keep between their runs, where a test loads any."""
    yield
    if "streamlit" in sys.modules:
        sys.modules["streamlit"].cache_resource.clear()


@pytest.fixture(autouse=True, scope="session")
def _own_device_lock() -> Iterator[None]:
    """Locks live in the temporary folder; child processes inherit this one."""
    before = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="at-") as folder:  # short: sockets live below it
        os.environ["TMPDIR"] = folder
        tempfile.tempdir = str(Path(folder))
        ray_environment.prepare(None)
        yield
        os.environ["TMPDIR"] = before
        tempfile.tempdir = before
