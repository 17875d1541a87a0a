"""Object store: a folder of S3, Google Cloud Storage, Azure or a disk, reached through pyarrow.fs.

Arrow offers no conditional write (apache/arrow#44281), so `put_if_absent` looks, then writes: two
writers that look in the same moment both write, and the later one stays. Whoever uses this must
find that out by a checksum, as readers of a run do.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import pyarrow as pa

from results.errors import RunError

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "file")  # hdfs needs a Java machine
TROUBLE = (OSError, pa.ArrowException)  # what a store that can't be reached or refuses raises
# Arrow's own limits let one request to a server that never answers take 99 s, and the end of the
# process waits for it.
CONNECT_S, SILENT_S, ATTEMPTS = 5, 10, 2
# In the names of options that grant access; Arrow takes `sig` and the like for a SAS of Azure.
SECRETS = ("secret", "key", "password", "token", "sas", "sig", "credential")


class StoredFile(NamedTuple):
    """An object: its size in bytes, and when it was written in unix seconds, where that is told."""

    size: int
    written_at: float | None


def is_address(place: object) -> TypeGuard[str]:
    """Whether something names a place in a store, not a path of this machine."""
    return isinstance(place, str) and "://" in place


def check_address(address: str) -> None:
    """RunError, one sentence, for what is no folder of a store; asks no network."""
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES or not is_address(address):
        raise RunError(
            f"a store's address begins with {', '.join(f'{s}://' for s in SCHEMES[:-1])} or "
            f"file://, but got {address!r}; write for example s3://bucket/folder"
        )
    if parts.password is not None or (parts.scheme == "s3" and parts.username is not None):
        raise RunError(
            "a store's address is kept beside the run, so it must hold no password; leave it to "
            "the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    named = parse_qs(parts.query, keep_blank_values=True)
    secret = next((name for name in named if any(s in name.lower() for s in SECRETS)), None)
    if secret is not None:
        raise RunError(
            f"a store's address is kept beside the run, so it must hold no credentials, but its "
            f"options have {secret!r}; leave them to the environment, such as "
            "AWS_SECRET_ACCESS_KEY or AZURE_CLIENT_SECRET, or to the files of the store's SDK, "
            "such as ~/.aws/credentials"
        )
    if parts.fragment or not (parts.netloc or parts.scheme == "file"):
        raise RunError(f"{address!r} names no bucket; write for example s3://bucket/folder")
    try:
        _file_system(address, ask_network=False)
    except (*TROUBLE, ValueError) as error:
        raise RunError(f"pyarrow can't use the address {address!r}: {reason(error)}") from None


def under(address: str, name: str) -> str:
    """The address of a folder in a folder; what follows a question mark stays at the end."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}"))


def parent_and_name(address: str) -> tuple[str, str]:
    """The folder that something is in, and its name there."""
    parts = urlsplit(address)
    above, _, name = parts.path.rstrip("/").rpartition("/")
    return urlunsplit(parts._replace(path=above)), name


def reason(error: BaseException) -> str:
    """What a store said, in a line."""
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return said if len(said) < 240 else said[:237] + "..."


def _file_system(address: str, *, ask_network: bool = True) -> tuple[Any, str]:
    """Arrow's file system and the path in it."""
    from pyarrow import fs  # takes a tenth of a second, and few runs need it

    parts = urlsplit(address)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme != "s3" or not options.keys() <= {"region", "scheme", "endpoint_override"}:
        return fs.FileSystem.from_uri(address)
    if not ask_network:  # Arrow would look for the bucket's region
        separator = "&" if parts.query else "?"
        return fs.FileSystem.from_uri(f"{address}{separator}region=us-east-1")
    known = "region" in options or "endpoint_override" in options
    plain, path = fs.FileSystem.from_uri(address)  # finds the region out where it is not given
    region = options.get("region") if known else plain.region
    store = fs.S3FileSystem(
        region=region,
        scheme=options.get("scheme"),
        endpoint_override=options.get("endpoint_override"),
        connect_timeout=CONNECT_S,
        request_timeout=SILENT_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
    return store, path


class ObjectStore:
    """One folder of a store. Let go of it before the process ends: an S3 connection that outlives
    the interpreter may keep it from ending (apache/arrow#50188)."""

    def __init__(self, address: str) -> None:
        """Raises RunError for what is no address, and one of TROUBLE."""
        from pyarrow import fs

        check_address(address)
        self.address = address
        self._fs, root = _file_system(address)
        self._root = root.rstrip("/")
        self._on_disk = isinstance(self._fs, fs.LocalFileSystem)

    def read(self, name: str) -> bytes:
        """All of an object; FileNotFoundError where there is none."""
        with self._fs.open_input_stream(self._path(name)) as stream:
            return stream.read()

    def put(self, name: str, data: bytes) -> None:
        """Write an object, in the place of what was there; readers see the old one or the new."""
        path = self._path(name)
        if not self._on_disk:
            with self._fs.open_output_stream(path) as stream:
                stream.write(data)
            return
        folder, _, last = path.rpartition("/")
        self._fs.create_dir(folder)
        beside = f"{folder}/.{last}.tmp"
        with self._fs.open_output_stream(beside) as stream:
            stream.write(data)
        self._fs.move(beside, path)

    def put_if_absent(self, name: str, data: bytes) -> None:
        """Write an object that never changes; RunError where another one is there."""
        there = self.stat(name)
        if there is None:
            self.put(name, data)
        elif there.size != len(data) or self.read(name) != data:
            raise RunError(
                f"{name} in {self.address} is there with other content, so another driver wrote "
                "there too; end one of them, remove that object, and push again"
            )

    def stat(self, name: str) -> StoredFile | None:
        """What is known of an object; None where there is none."""
        return self._stored(self._fs.get_file_info(self._path(name)))

    def files(self, folder: str = "") -> dict[str, StoredFile]:
        """The objects right in a folder, by their name in it; none where there is no folder."""
        infos = self._listed(folder)
        return {i.base_name: found for i in infos if (found := self._stored(i)) is not None}

    def folders_with(self, name: str) -> list[str]:
        """The folders here that hold an object of this name, sorted."""
        from pyarrow import fs

        folders = sorted(i.base_name for i in self._listed("") if i.type == fs.FileType.Directory)
        infos = self._fs.get_file_info([self._path(f"{folder}/{name}") for folder in folders])
        return [f for f, info in zip(folders, infos, strict=True) if info.is_file]

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; one that is gone already is fine."""
        for name in names:
            try:
                self._fs.delete_file(self._path(name))
            except FileNotFoundError:
                continue

    def _path(self, name: str) -> str:
        assert ".." not in PurePosixPath(name).parts, name
        return f"{self._root}/{name}" if name else self._root

    def _listed(self, folder: str) -> list[Any]:
        from pyarrow import fs

        return self._fs.get_file_info(fs.FileSelector(self._path(folder), allow_not_found=True))

    @staticmethod
    def _stored(info: Any) -> StoredFile | None:
        written: datetime | None = info.mtime
        if not info.is_file:
            return None
        return StoredFile(info.size, None if written is None else written.timestamp())
