"""Mirror state: what a run's folder knows of its mirror, and what of it there is to push."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from results import disk
from results.files import write_atomic
from results.folder import MANIFESTS, lacks
from results.journal import parse_journal
from results.manifest import Manifest, read_manifest

MIRROR = "mirror"  # in a run's folder
STATE = "state.json"
READ_ATTEMPTS = 20  # one fails only if the writer folded twice within it


def remember_address(run: Path, storage: str, address: str) -> None:
    """From now on the run's folder belongs with this address."""
    disk.make_folder(run / MIRROR / MANIFESTS)
    state = {"storage": storage, "address": address}
    write_atomic(run / MIRROR / STATE, json.dumps(state).encode())


def mirror_state(run: Path) -> dict[str, Any]:
    """Where a run is pushed to (`storage`, `address`), `pushed_at`, `problem`; empty if nowhere."""
    try:
        state = json.loads(disk.read(run / MIRROR / STATE))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def state_of(run: Path) -> tuple[Manifest, bytes]:
    """The manifest and the whole records of its journal, at one instant."""
    for attempt in range(READ_ATTEMPTS):
        try:
            manifest = read_manifest(run)
            journal = disk.read(run / manifest.journal)
        except FileNotFoundError as error:
            if attempt == READ_ATTEMPTS - 1:
                raise lacks(run, error) from None
            time.sleep(0.01)
            continue
        return manifest, journal[: parse_journal(journal).good_bytes]
    raise AssertionError("unreachable")
