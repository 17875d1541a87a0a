"""A run's folder: the names of its parts, and the description that never changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from results import disk
from results.errors import RunError

RUN_FORMAT = 1

DESCRIPTION = "run.json"
CONFIG = "config.yaml"
POINTER = "MANIFEST"
LOCK = "run.lock"
STATUS = "status.json"
MANIFESTS = "manifests"
SEGMENTS = "segments"
JOURNALS = "journal"
INBOX = "inbox"
QUARANTINE = "quarantine"
DESCRIBED: dict[str, tuple[type, ...]] = {  # what a description must have
    "name": (str,),
    "created_at": (int, float),
    "attnas": (str,),
    "objectives": (dict,),
    "config": (dict,),
    "provenance": (dict,),
}
FOLDERS = (MANIFESTS, SEGMENTS, JOURNALS, INBOX, "logs", "checkpoints")


def is_run(path: Path) -> bool:
    """Whether the folder holds a run: the description is the last file of a new one."""
    return (path / DESCRIPTION).is_file()


def attnas_version() -> str:
    """The version that writes; `unknown` where attnas runs without being installed."""
    try:
        return version("attnas")
    except PackageNotFoundError:
        return "unknown"


def description_bytes(description: Mapping[str, Any]) -> bytes:
    """What is stored of a description: indented JSON, its last entry a checksum of the others."""
    plain = json.loads(json.dumps(description))
    return json.dumps(plain | {"sha256": checksum_of(plain)}, indent=1).encode()


def checksum_of(description: Mapping[str, Any]) -> str:
    """Of everything but the checksum itself, however it is laid out."""
    rest = {name: value for name, value in description.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_description(path: Path) -> dict[str, Any]:
    """The run's name, configuration, objectives and provenance; refuses a newer format."""
    file = path / DESCRIPTION
    try:
        description = json.loads(disk.read(file))
    except FileNotFoundError:
        raise RunError(f"{path} holds no run: it has no {DESCRIPTION}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file} is damaged ({error}); restore it from a backup") from error
    if not isinstance(description, dict):
        raise RunError(f"{file} is damaged: it describes no run; restore it from a backup")
    run_format = description.get("format")
    if not isinstance(run_format, int):
        raise RunError(f"{file} is damaged: it lacks the run's format; restore it from a backup")
    if run_format > RUN_FORMAT:
        raise RunError(
            f"{path} was written by attnas {description.get('attnas', 'unknown')} with run format "
            f"{run_format}; this attnas reads format {RUN_FORMAT}; upgrade attnas"
        )
    lacking = [k for k, kinds in DESCRIBED.items() if not isinstance(description.get(k), kinds)]
    if lacking:
        raise RunError(
            f"{file} is damaged: it lacks {', '.join(lacking)}; restore it from a backup"
        )
    if description.get("sha256", checksum_of(description)) != checksum_of(description):
        raise RunError(f"{file} is damaged: its checksum differs; restore it from a backup")
    return description


def lacks(path: Path, error: FileNotFoundError) -> RunError:
    """What to say where a file of a run is gone."""
    return RunError(
        f"{path} lacks {error.filename}; restore it from a backup, or let attnas doctor {path} go "
        "on with the rest"
    )
