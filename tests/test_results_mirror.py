"""A run in an object store: pushed while it is written, read elsewhere, against a moto server."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from test_results_store import create, row
from tiny_runs import tiny_run

import results.store
from attnas.cli import app
from controller.config import config_of
from controller.mirroring import check_free, mirroring
from results import (
    RunError,
    disk,
    find_run,
    front_report,
    load,
    push_run,
    read_heartbeat,
    read_run,
)
from results.heartbeat import driver_state
from results.journal import encode
from results.manifest import read_manifest
from results.mirror import Mirror
from results.mirror_state import mirror_state
from results.object_store import ObjectStore, check_address, parent_and_name, under
from results.pull import moved_here, pulled, pulled_runs
from search_space import ConfigError, Document

OBJECTIVES = {"accuracy": "max", "prefill_24_ratio": "min"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The options of an address that lead to a server of this file's own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from moto.server import main; main()"]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen(
        [*command, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    try:
        for _ in range(200):
            try:
                urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.1)
        yield f"endpoint_override=127.0.0.1:{port}&scheme=http"
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def storage(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return bucket(server, f"b{abs(hash(tmp_path)):x}")


def bucket(server: str, name: str) -> str:
    from pyarrow import fs

    store, _ = fs.FileSystem.from_uri(f"s3://{name}?{server}&allow_bucket_creation=true")
    store.create_dir(name)
    return f"s3://{name}/runs?{server}"


def trials(folder: Path) -> list[int]:
    return sorted(read_run(folder).rows["trial"].to_pylist())


def fill(run: Path, count: int, first: int = 0) -> None:
    writer = results.RunWriter.open(run) if (run / "run.json").exists() else create(run)
    with writer:
        for trial in range(first, first + count):
            writer.append(row(trial))


def other_machine(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("runs/x", "begins with s3://"),
        ("http://host/x", "begins with s3://"),
        ("hdfs://host/x", "begins with s3://"),
        ("s3:///x", "names no bucket"),
        ("s3://key:secret@bucket/x", "must hold no password"),
        ("s3://key@bucket/x", "must hold no password"),
        ("s3://bucket/x?region=eu&Secret_Key=secret", "hold no credentials, .*'Secret_Key'.*AWS_"),
        ("abfs://box@host/x?client_secret=secret", "'client_secret'; leave .* AZURE_CLIENT_SECRET"),
        ("abfs://box@host/x?sig=secret", "hold no credentials"),
        ("gs://bucket/x?access_token=", "hold no credentials"),
        ("s3://bucket/x?regio=eu", "pyarrow can't use .*regio"),
        ("s3://bucket/x y", "pyarrow can't use .*syntax"),
        ("s3://bucket/x#y", "names no bucket"),
    ],
)
def test_what_is_no_folder_of_a_store_is_refused_in_a_sentence(address: str, sentence: str):
    with pytest.raises(RunError, match=sentence) as refused:
        check_address(address)
    assert "=secret" not in str(refused.value)
    assert ":secret" not in str(refused.value)
    with pytest.raises(ConfigError, match="storage"):
        config_of(Document(tiny_run(storage=address, objectives=OBJECTIVES)))


@pytest.mark.parametrize("address", ["s3://b/x", "s3://b", "gs://b/x", "file:///mnt/x"])
def test_a_configuration_may_name_a_store(address: str):
    assert config_of(Document(tiny_run(storage=address, objectives=OBJECTIVES))).storage == address


def test_a_run_has_its_place_before_the_options():
    assert under("s3://b/x?region=eu", "lm") == "s3://b/x/lm?region=eu"
    assert under("s3://b", "lm") == "s3://b/lm"
    assert parent_and_name("s3://b/x/lm/?region=eu") == ("s3://b/x?region=eu", "lm")


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_a_pushed_run_is_read_elsewhere(kind: str, storage: str, tmp_path: Path):
    storage = storage if kind == "s3" else f"file://{tmp_path}/store"
    run = tmp_path / "runs" / "lm"
    fill(run, 5)
    (run / "vocabulary.json").write_text("[]")
    (run / "checkpoints" / "trial-0-0.safetensors").write_bytes(b"weights")
    (run / "checkpoints" / "trial-1.training.safetensors").write_bytes(b"not yet")
    address = push_run(run, storage)
    assert address == under(storage, "lm")
    assert load(address)["trial"].tolist() == [0, 1, 2, 3, 4]
    folder = find_run(address)
    assert folder.parent.stat().st_mode & 0o077 == 0
    assert (folder / "config.yaml").read_text() == "space: tiny\n"
    assert (folder / "vocabulary.json").read_text() == "[]"
    assert not list((folder / "checkpoints").iterdir())
    find_run(address, weights=True)
    assert [file.name for file in (folder / "checkpoints").iterdir()] == ["trial-0-0.safetensors"]
    assert pulled_runs(storage) == folder.parent
    with pytest.raises(RunError, match="there is no run at"):
        find_run(under(storage, "mt"))


def test_readers_see_whole_states_while_rows_are_folded_merged_and_pushed(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(results.store, "FOLD_ROWS", 10)
    monkeypatch.setattr("results.segments.SMALLEST", 10)
    monkeypatch.setattr("results.segments.MERGED", 3)
    run = tmp_path / "lm"
    done, pushed, wrong = threading.Event(), [0], list[str]()
    address = under(storage, "lm")

    def keep_pushing() -> None:
        mirror = Mirror(run, storage)
        while not done.is_set():
            least = len(trials(run))
            mirror.push()
            pushed[0] = least
        mirror.push()
        mirror.let_go()

    with create(run) as writer:
        pusher = threading.Thread(target=keep_pushing)
        pusher.start()
        try:
            sizes: list[int] = []
            for trial in range(400):
                writer.append(row(trial))
                if trial % 8 == 0:
                    time.sleep(0.02)
                if pushed[0] and trial % 20 == 0:
                    least = pushed[0]
                    seen = trials(pulled(address))
                    if seen != list(range(len(seen))) or len(seen) < least:
                        wrong.append(f"{least} {seen}")
                    sizes.append(len(seen))
        finally:
            done.set()
            pusher.join()
    assert not wrong
    assert len(set(sizes)) > 5
    assert sizes == sorted(sizes)
    push_run(run, storage)
    assert trials(pulled(address)) == list(range(400))
    assert len(read_manifest(run).segments) < 10
    other_machine(monkeypatch, tmp_path / "other")
    assert trials(pulled(address)) == list(range(400))


def objects(address: str) -> set[str]:
    store = ObjectStore(address)
    folders = ("manifests", "segments", "journal")
    return {f"{folder}/{name}" for folder in folders for name in store.files(folder)}


def test_outdated_objects_are_gone_one_manifest_later(storage: str, tmp_path: Path):
    run, address = tmp_path / "lm", under(storage, "lm")
    fill(run, 3)
    push_run(run, storage)
    first = objects(address)
    fill(run, 3, first=3)
    ObjectStore(address).put("journal/000900.log", b"of a push that was killed")
    push_run(run, storage)
    assert first | {"journal/000900.log"} < objects(address)
    fill(run, 3, first=6)
    push_run(run, storage)
    left = objects(address)
    segments = {segment.file for segment in read_manifest(run).segments}
    assert not (first - segments) & left
    assert "journal/000900.log" not in left
    assert len(left) == len(segments) + 4  # this push's journal and manifest, and the last's
    before = len(left)
    push_run(run, storage)  # nothing is new to a driver that looks at everything afresh
    assert len(objects(address)) <= before + 2


def put_by(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """What a push puts, in order."""
    put, done = ObjectStore.put, list[tuple[str, bytes]]()

    def noted(store: ObjectStore, name: str, data: bytes) -> None:
        done.append((name, data))
        put(store, name, data)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "put", noted)
        mirror.push()
    mirror.let_go()
    return done


@pytest.mark.parametrize("state", ["searching", "finished"])
def test_a_driver_that_pushes_long_is_not_silent(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("results.mirror.REPORT_S", -1)
    run, storage = tmp_path / "lm", f"file://{tmp_path}/store"
    fill(run, 3)
    status = {"state": state, "at": time.time() - 100}
    (run / "status.json").write_text(json.dumps(status))
    (run / "checkpoints" / "trial-0-0.safetensors").write_bytes(b"weights")
    _, *done = put_by(Mirror(run, storage), monkeypatch)
    reports = [json.loads(data) for name, data in done if name == "status.json"]
    assert [name for name, _ in done][::2] == ["status.json"] * len(reports)
    assert len(reports) > 4
    assert reports.pop() == status
    for report in reports:
        assert driver_state(report, time.time()) == "live"


def test_who_was_followed_by_another_driver_reports_no_more(tmp_path: Path):
    run, storage = tmp_path / "lm", f"file://{tmp_path}/store"
    fill(run, 3)
    mirror = Mirror(run, storage)
    mirror.push()
    new = moved_here(mirror.address, tmp_path / "new")
    fill(new, 1, first=3)
    push_run(new, storage)
    (run / "status.json").write_text(json.dumps({"state": "searching", "at": time.time()}))
    with pytest.raises(RunError, match="another driver went on from there"):
        mirror.push()
    assert "status.json" not in ObjectStore(mirror.address).files()


def test_a_driver_waits_for_the_last_push_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("controller.mirroring.EVERY_S", 0.1)
    run, storage, said = tmp_path / "lm", f"file://{tmp_path}/store", list[str]()
    fill(run, 3)
    before = Mirror(run, storage)
    before.push()
    with results.RunWriter.open(run) as writer, mirroring(run, storage, said.append):
        writer.append(row(3))
        time.sleep(1)
        before.push()
        before.let_go()
    assert f"{run} can't be pushed for now (another process still pushes {run})" in said[0]
    assert said[-1] == f"pushed:  {before.address}"
    assert trials(pulled(before.address)) == [0, 1, 2, 3]


def test_a_full_disk_here_is_not_said_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("controller.mirroring.EVERY_S", 0.1)
    run, storage, said = tmp_path / "lm", f"file://{tmp_path}/store", list[str]()

    class Full:
        def before(self, operation: disk.Operation, path: Path, data: bytes) -> None:
            if operation == "write" and path.is_relative_to(run / "mirror"):
                raise OSError(errno.ENOSPC, "No space left on device")

    fill(run, 3)
    with mirroring(run, storage, said.append), disk.watched_by(Full()):
        time.sleep(0.5)
    assert f"{run} can't be pushed for now (No space left on device)" in said[0]
    assert said[-1] == f"pushed:  {under(storage, 'lm')}"


def test_a_move_that_was_killed_leaves_no_run_or_one_that_pushes_on(tmp_path: Path):
    storage = f"file://{tmp_path}/store"
    fill(tmp_path / "lm", 3)
    address = push_run(tmp_path / "lm", storage)
    runs = tmp_path / "runs"

    class Killed:
        def __init__(self, left: int) -> None:
            self.left = left

        def before(self, operation: disk.Operation, path: Path, data: bytes) -> None:
            self.left -= operation == "rename" and path.is_relative_to(runs)
            if self.left < 0:
                raise KeyboardInterrupt

    whole = 0
    for left in range(100):
        try:
            with disk.watched_by(Killed(left)):
                moved_here(address, runs)
            whole = left
        except KeyboardInterrupt:
            pass
        if (runs / "lm" / "run.json").exists():
            fill(runs / "lm", 1, first=10)
            push_run(runs / "lm", storage)
            break
        shutil.rmtree(runs / "lm", ignore_errors=True)
    assert whole > 5
    assert trials(pulled(address)) == [0, 1, 2, 10]


def test_no_lock_in_a_copy_says_that_a_driver_elsewhere_is_gone(tmp_path: Path):
    run, storage = tmp_path / "lm", f"file://{tmp_path}/store"
    fill(run, 3)
    (run / "status.json").write_text(json.dumps({"state": "searching", "at": time.time()}))
    address = push_run(run, storage)
    (find_run(address) / "run.lock").touch()
    assert read_heartbeat(find_run(address)).live


def test_another_run_of_the_same_name_is_refused(storage: str, tmp_path: Path):
    fill(tmp_path / "a" / "lm", 2)
    fill(tmp_path / "b" / "lm", 3)
    address = push_run(tmp_path / "a" / "lm", storage)
    with pytest.raises(RunError, match=r"already holds another run; choose another --name"):
        push_run(tmp_path / "b" / "lm", storage)
    assert trials(pulled(address)) == [0, 1]


def test_a_run_that_took_the_name_later_replaces_what_is_kept_here(storage: str, tmp_path: Path):
    fill(tmp_path / "a" / "lm", 2)
    fill(tmp_path / "b" / "lm", 3)
    address = push_run(tmp_path / "a" / "lm", storage)
    assert trials(pulled(address)) == [0, 1]
    store = ObjectStore(address)
    store.remove([*objects(address), "run.json", "MANIFEST", "config.yaml"])
    push_run(tmp_path / "b" / "lm", storage)
    assert trials(pulled(address)) == [0, 1, 2]


def test_who_went_on_elsewhere_pushes_and_the_one_before_no_more(storage: str, tmp_path: Path):
    old, runs = tmp_path / "old" / "lm", tmp_path / "new"
    fill(old, 3)
    status = {"state": "searching", "at": time.time() - 2}
    (old / "status.json").write_text(json.dumps(status))
    (old / "checkpoints" / "trial-0-0.safetensors").write_bytes(b"weights")
    mirror = Mirror(old, storage)
    mirror.push()
    with pytest.raises(RunError, match=r"reported 2 s ago; stop it"):
        moved_here(mirror.address, runs)
    assert not runs.exists()
    (old / "status.json").write_text(json.dumps(status | {"at": time.time() - 40}))
    mirror.push()
    new = moved_here(mirror.address, runs)
    assert trials(new) == [0, 1, 2]
    assert (new / "checkpoints/trial-0-0.safetensors").is_file()
    with pytest.raises(RunError, match="is there already; go on with attnas resume"):
        moved_here(mirror.address, runs)
    # What the old driver pushed before it died, short of the pointer, is in nobody's way.
    left = (f"{folder}/000003.{end}" for folder, end in (("journal", "log"), ("manifests", "json")))
    for name in left:
        ObjectStore(mirror.address).put(name, b"other content")
    fill(new, 2, first=3)
    push_run(new, storage)
    assert trials(pulled(mirror.address)) == [0, 1, 2, 3, 4]
    fill(old, 1, first=9)
    with pytest.raises(RunError, match="another driver went on from there"):
        mirror.push()
    mirror.let_go()
    fill(new, 1, first=5)
    push_run(new, storage)
    assert trials(pulled(mirror.address)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("part", ["segments", "manifests", "journal"])
def test_a_changed_byte_is_refused(part: str, storage: str, tmp_path: Path):
    run = tmp_path / "lm"
    fill(run, 3)
    with results.RunWriter.open(run) as writer:
        writer.append(row(3))
        mirror = Mirror(run, storage)
        mirror.push()
    store = ObjectStore(mirror.address)
    name = max(store.files(part))
    data = bytearray(store.read(f"{part}/{name}"))
    data[len(data) // 2] ^= 1
    store.put(f"{part}/{name}", bytes(data))
    with pytest.raises(RunError, match=rf"{part}/{name} in s3:.* is damaged"):
        pulled(mirror.address)
    mirror.let_go()


@pytest.mark.parametrize("name", ["../../../../evil", "segments/../../x.parquet", "/etc/evil"])
def test_names_from_a_store_lead_nowhere_else(name: str, storage: str, tmp_path: Path):
    run = tmp_path / "lm"
    fill(run, 3)
    address = push_run(run, storage)
    shadow = run / "mirror"
    manifest = json.loads((shadow / read_manifest(shadow).file).read_text())
    manifest["segments"][0]["file"] = name
    data = json.dumps(manifest).encode()
    store = ObjectStore(address)
    store.put(read_manifest(shadow).file, data)
    digest = hashlib.sha256(data).hexdigest()
    store.put("MANIFEST", encode({"manifest": manifest["number"], "sha256": digest}))
    with pytest.raises(RunError, match="is damaged"):
        pulled(address)
    assert not list(tmp_path.rglob("*evil*"))


def test_a_store_that_is_not_there_fails_nothing_and_has_all_later(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("controller.mirroring.EVERY_S", 0.1)
    monkeypatch.setattr("controller.mirroring.LAST_PAUSES_S", (0.0,))
    run, said = tmp_path / "lm", list[str]()
    blocked = tmp_path / "store"
    blocked.write_text("a file where the store's folder should be")
    with create(run) as writer, mirroring(run, f"file://{blocked}", said.append):
        for trial in range(3):
            writer.append(row(trial))
        time.sleep(1)
    assert "can't be reached" in said[0]
    assert "the search goes on" in said[0]
    assert len(said) == 2
    assert said[1].endswith(f"push it with: attnas resume {run}")
    assert "store" in str(mirror_state(run)["problem"])
    blocked.unlink()
    said.clear()
    with mirroring(run, None, said.append):
        pass
    assert said == [f"pushed:  file://{blocked}/lm"]
    assert trials(pulled(f"file://{blocked}/lm")) == [0, 1, 2]
    assert mirror_state(run)["problem"] is None


def attnas(*arguments: str) -> None:
    """The command line, in this process: another is slow to start."""
    app(list(arguments), standalone_mode=False)


def test_a_search_is_looked_at_and_exported_on_another_machine(
    storage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    search = {"trials": 4, "presets": ["mha"], "preset_seeds": 1, "finalists": 0}
    configuration = yaml.safe_dump(tiny_run(search=search, objectives=OBJECTIVES))
    (here / "tiny.yaml").write_text(configuration)
    done = subprocess.run(
        [sys.executable, "-c", "from attnas.cli import main; main()",
         "search", "tiny.yaml", "--set", f"storage={storage}"],
        cwd=here, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    address = under(storage, "tiny")
    assert done.returncode == 0, done.stderr
    assert f"pushed:  {address}" in done.stdout
    monkeypatch.chdir(here)
    attnas("status", "tiny")
    assert f"in {address}: as of" in capsys.readouterr().out
    frame = load("runs/tiny")
    (here / "runs" / "tiny").rename(here / "gone")

    other_machine(monkeypatch, tmp_path / "other")
    monkeypatch.chdir(there)
    attnas("status", address)
    assert f"{address}: finished" in capsys.readouterr().out
    attnas("front", address, "--json")
    shown = {design["trial"] for design in json.loads(capsys.readouterr().out)["designs"]}
    report = front_report(frame, read_run(find_run(address)).objectives)
    assert set(report.loc[report["on_front"], "trial"]) <= shown
    attnas("export", address, "--to", "out", "--no-check")
    assert (there / "out" / "model.safetensors").is_file()
    with pytest.raises(RunError, match="already holds another run"):
        check_free(Path("runs/tiny"), storage)
    check_free(Path("runs/tiny-2"), storage)
    capsys.readouterr()
    attnas("resume", address)
    assert f"pushed:  {address}" in capsys.readouterr().out
    assert load("runs/tiny")["trial"].tolist() == frame["trial"].tolist()
