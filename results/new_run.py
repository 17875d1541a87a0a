"""New run: the files of an empty one. It is a run once it is described, which comes last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results import disk
from results.files import write_atomic
from results.folder import (
    CONFIG,
    DESCRIPTION,
    FOLDERS,
    RUN_FORMAT,
    attnas_version,
    description_bytes,
)
from results.manifest import Manifest, publish


def first_files(path: Path, config_text: str) -> None:
    """All that a writer opens; over what an earlier attempt left, which was no run."""
    for folder in FOLDERS:
        disk.make_folder(path / folder)
    manifest = Manifest.first()
    write_atomic(path / CONFIG, config_text.encode())
    write_atomic(path / manifest.journal, b"")
    publish(path, manifest)
    disk.flush_folder(path.parent)


def describe(path: Path, what: Mapping[str, Any]) -> None:
    """Say what the run is, for good: name, objectives, configuration and provenance.

    When and by which version it was made is of now, unless that is said as well.
    """
    made = {"format": RUN_FORMAT, "created_at": time.time(), "attnas": attnas_version()}
    write_atomic(path / DESCRIPTION, description_bytes({**made, **what}))
