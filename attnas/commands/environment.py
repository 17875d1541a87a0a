"""Environment: whether this machine and its packages can run a search, checked by trying."""

from __future__ import annotations

import fcntl
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from attnas.commands.figures import size
from results.checkup import Finding

RAY_S = 90.0  # a loaded machine needs 30, and a failed start is tried again
SLOW_FLUSH_S = 0.1  # each row waits for one
LEAST_DISK, LEAST_MEMORY, LEAST_FILES = 2**30, 2 * 2**30, 1024
START_RAY = """
from controller.engines import ray_environment
ray_environment.prepare(None)
from controller.engines import ray_tune
ray_tune.start_ray(1, 1, None)
ray_tune.stop_ray()
"""


def environment(runs: Path, quick: bool) -> Iterator[Finding]:
    """Each thing that was looked at; `quick` leaves out what takes longer than a few seconds."""
    yield from _python()
    yield from _packages("attnas", "pip install --upgrade")
    yield from _machine()
    yield from _devices()
    yield from _storage(runs)
    yield from _token()
    if not quick:
        yield _tried("NNI", "import controller.nni_space", 60.0, "imported", "pip install nni")
        yield from _packages("nni", "pip install")
        yield _tried(
            "Ray", START_RAY, RAY_S, "a local cluster of one worker started and ended",
            "search with --engine serial, or look at Ray's logs in /tmp/ray/session_latest/logs",
        )  # fmt: skip
        yield from _token()


def _python() -> Iterator[Finding]:
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("ok", "Python", said)  # of an older one, nothing here would be imported


def _packages(package: str, command: str) -> Iterator[Finding]:
    """What a package requires; one line for all that is there, one for each that is not."""
    try:
        wanted = [Requirement(text) for text in requires(package) or []]
    except PackageNotFoundError:
        level = "warning" if package == "attnas" else "problem"
        yield Finding(level, package, "runs without being installed; pip install it, so that its "
                      "requirements are known")  # fmt: skip
        return
    found: list[str] = []
    for one in wanted:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(one.name)
        except PackageNotFoundError:
            yield Finding("problem", one.name, f"is not there; {command} '{_plain(one)}'")
            continue
        if one.specifier.contains(there, prereleases=True):
            found.append(f"{one.name} {there}")
        else:
            said = f"{there} is outside {one.specifier}, which {package} needs"
            yield Finding("problem", one.name, f"{said}; {command} '{_plain(one)}'")
    yield Finding("ok", f"{package} {version(package)}", ", ".join(found))


def _plain(one: Requirement) -> str:
    extras = f"[{','.join(sorted(one.extras))}]" if one.extras else ""
    return f"{one.name}{extras}{one.specifier}"


def _machine() -> Iterator[Finding]:
    from evaluator.memory_limit import memory_limit

    allowed, cores = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    said = f"{allowed} of {cores} cores may be used"
    if threads := os.environ.get("OMP_NUM_THREADS"):
        said += f", OMP_NUM_THREADS is {threads}"
    yield Finding("ok", "cores", said)
    memory = memory_limit()
    few = memory < LEAST_MEMORY
    said = f"{size(memory)} for this process and its workers"
    more = f"; a worker takes {size(2**29)} before it trains: fewer workers, or more memory"
    yield Finding("warning" if few else "ok", "memory", said + (more if few else ""))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < LEAST_FILES
    said = f"{soft:,} may be open at a time"
    more = f"; Ray needs more, so type ulimit -n {min(65536, hard)}"
    yield Finding("warning" if few else "ok", "files", said + (more if few else ""))


def _devices() -> Iterator[Finding]:
    try:
        import torch

        from evaluator.fast_matmul import probe
    except (ImportError, OSError) as error:
        said = f"torch can't be imported: {str(error).partition(chr(10))[0]}; install it again"
        yield Finding("problem", "torch", said)
        return
    yield Finding("ok", "cpu", f"{torch.get_num_threads()} threads; {probe().describe()}")
    if not torch.cuda.is_available():
        yield Finding("ok", "cuda", "no GPU that torch can use")
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        yield Finding("ok", f"cuda:{index}", f"{found.name}, {size(found.total_memory)}")


def _storage(runs: Path) -> Iterator[Finding]:
    here = next(path for path in (runs, *runs.absolute().parents) if path.is_dir())
    for subject, folder in (("runs", here), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        few = free < LEAST_DISK
        more = f"; make room until {size(LEAST_DISK)} are: a full disk pauses the search"
        said = f"{size(free)} are free in {folder}" + (more if few else "")
        yield Finding("warning" if few else "ok", subject, said)
    try:
        seconds = _flushed_and_locked(here)
    except OSError as error:
        said = f"{here} can't be written, flushed and locked ({error.strerror})"
        yield Finding("problem", "runs", f"{said}; search in a folder of a local disk")
        return
    slow = seconds > SLOW_FLUSH_S
    said = f"{here} is writable, can be locked, and flushes a row in {1000 * seconds:.1f} ms"
    more = "; every result waits for that, so a local disk would be faster"
    yield Finding("warning" if slow else "ok", "runs", said + (more if slow else ""))


def _flushed_and_locked(folder: Path) -> float:
    """Seconds to write and flush a small file, the median of five, in a file under a lock."""
    times: list[float] = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".attnas-doctor-") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for _ in range(5):
            start = time.perf_counter()
            file.write(b"x" * 2000)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return sorted(times)[2]


def _token() -> Iterator[Finding]:
    """Whether strangers are kept from a local cluster."""
    from evaluator.device_lock import private_folder

    mode = os.environ.get("RAY_AUTH_MODE")
    if mode is not None and mode != "token":
        said = f"RAY_AUTH_MODE is {mode}: whoever reaches this machine can run code here; unset it"
        yield Finding("warning", "Ray's token", said)
        return
    try:
        token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or private_folder() / "ray-token")
        rights = token.stat().st_mode & 0o777
    except FileNotFoundError:
        yield Finding("ok", "Ray's token", "made when a local cluster first starts")
    except OSError as error:
        yield Finding("problem", "Ray's token", str(error))
    else:
        if rights & 0o077:
            said = f"others may read {token} ({rights:o}); chmod 600 {token}"
            yield Finding("problem", "Ray's token", said)
        else:
            said = f"local clusters take nobody without it; only you can read it ({rights:o})"
            yield Finding("ok", "Ray's token", said)


def _tried(subject: str, code: str, limit_s: float, done: str, instead: str) -> Finding:
    """What came of a program in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        _, said = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Finding("problem", subject, f"did not come up within {limit_s:.0f} s; {instead}")
    except BaseException:  # Ctrl-C: leave nothing behind
        os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode:
        reason = (said.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        return Finding("problem", subject, f"{reason}; {instead}")
    return Finding("ok", subject, f"{done} in {time.perf_counter() - start:.1f} s")
