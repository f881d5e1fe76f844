"""Where pictures are kept: a local folder, or an object store through fsspec. One contract for both.

A picture's name is the SHA-256 of its bytes, `ab/cd/abcd....webp`: storing it again changes nothing, what is read
back proves itself, and 65,536 folders keep a million files quick to list. A picture that `put` returned survives a
power cut; one that was interrupted leaves at most a file under `.tmp/`, never half a picture under its name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from catalog_gen.errors import CatalogGenError, ConfigError, RowError, TransientError, Unavailable

TEMP_DIR = ".tmp"
TEMP_MAX_AGE = 86_400.0  # seconds; no write takes a day: an older file belongs to a process that died
SYNC_THREADS = 8  # fsyncs that wait together share a journal commit: five times the pictures a second
_NAME = re.compile(r"([0-9a-f]{64})\.([a-z0-9]{1,8})")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_WRONG = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EXDEV, errno.ELOOP}
)


class PictureError(RowError):
    """A stored picture is missing, or its bytes are not the ones that its name promises."""

    exit_code = 69


@dataclass(frozen=True)
class Stored:
    """A picture that is safely stored: its absolute address, the SHA-256 of its bytes (hex), its size in bytes."""

    uri: str
    sha256: str
    size: int


class Storage(Protocol):
    """What both kinds of storage do. Every method may be called from several threads at once.

    All of them raise TransientError where the same call may work in a moment, and Unavailable where it will not
    (disk full, no permission, no such bucket, no credentials): the first is worth a retry, the second ends the run.
    """

    root: str

    def put(self, data: bytes, suffix: str) -> Stored:
        """Store one picture under its content's name; `suffix` is its file suffix without the dot."""
        ...

    def put_many(self, pictures: Sequence[tuple[bytes, str]]) -> list[Stored]:
        """Store (data, suffix) pairs and return them in that order, all of them durable.

        Much faster than `put` in a loop. After an error any of them may be stored; the whole call can be repeated.
        """
        ...

    def get(self, uri: str) -> bytes:
        """Return a picture's bytes. Raises PictureError when it is missing or does not match its name."""
        ...

    def exists(self, uri: str) -> bool:
        """Return whether the picture is there, without reading it."""
        ...

    def probe(self) -> None:
        """Prove, by writing and deleting a small file, that pictures can be stored."""
        ...


def open_storage(url: str, options: Mapping[str, Any] | None = None) -> Storage:
    """Return the storage at `url`: a folder's path, `file://...`, or any fsspec URL (`s3://bucket/prefix`).

    options go to fsspec's filesystem as they are (`endpoint_url`, `key`, `secret`, ...). Nothing is contacted yet.
    Raises ConfigError for a URL that cannot be one, Unavailable when the package for its scheme is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if not url.strip() or (separator and not rest.strip("/") and scheme != "memory"):
        raise ConfigError(
            "names no folder or bucket", where=f"storage.url {url!r}", hint="Example: s3://bucket/pictures"
        )
    if separator and scheme not in ("file", "local"):
        if "@" in urlsplit(url).netloc:
            raise ConfigError(
                "holds credentials, which would be recorded with every picture",
                where="storage.url",
                hint="Move them to [storage.options] or the environment.",
            )
        from catalog_gen.object_store import ObjectStorage

        return ObjectStorage(url.rstrip("/"), dict(options or {}))
    return LocalStorage(Path(unquote(rest) if separator else url))


def picture_name(data: bytes, suffix: str) -> tuple[str, str]:
    """Return the name of a picture below the root (`ab/cd/<sha256>.<suffix>`) and its SHA-256."""
    sha256 = hashlib.sha256(data).hexdigest()
    if not _NAME.fullmatch(f"{sha256}.{suffix}"):
        raise ValueError(f"{suffix!r} is not a file suffix of a-z and 0-9")
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}.{suffix}", sha256


def check_picture(uri: str, data: bytes) -> bytes:
    """Return `data` when its SHA-256 is the one in the name at the end of `uri`; raise PictureError otherwise."""
    promised = promised_hash(uri)
    found = hashlib.sha256(data).hexdigest()
    if found != promised:
        raise PictureError(
            f"is damaged: its name promises sha256 {promised}, its {len(data)} bytes have {found}",
            where=uri,
            hint="Restore it from a backup, or reject it so that it is drawn again.",
        )
    return data


def promised_hash(uri: str) -> str:
    """Return the SHA-256 (hex) that a stored picture's address promises; raise PictureError when there is none."""
    match = _NAME.fullmatch(uri.rpartition("/")[2])
    if not match:
        raise PictureError("is not the address of a stored picture (<sha256>.<suffix>)", where=uri)
    return match[1]


class LocalStorage:
    """A folder. Files are written under `.tmp/`, synced, renamed into place, and their folders synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100 - resolve() would follow links
        self.root = str(self._folder)
        self._made = bytearray(65_536)  # by the hash's first 16 bits: its folder is there and durable
        self._prepared = False
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def put(self, data: bytes, suffix: str) -> Stored:
        return self.put_many([(data, suffix)])[0]

    def put_many(self, pictures: Sequence[tuple[bytes, str]]) -> list[Stored]:
        with _local_errors(self.root):
            self._prepare()
            names = [picture_name(data, suffix) for data, suffix in pictures]
            stored = [
                Stored((self._folder / name).as_uri(), sha256, len(data))
                for (name, sha256), (data, _) in zip(names, pictures, strict=True)
            ]
            targets = {self._folder / name: data for (name, _), (data, _) in zip(names, pictures, strict=True)}
            self._write({path: data for path, data in targets.items() if not _holds(path, data)})
            # Also the folders of pictures found in place: another thread may have renamed them a moment ago.
            self._sync({path.parent for path in targets})
            return stored

    def get(self, uri: str) -> bytes:
        path = self._path(uri)
        with _local_errors(self.root):
            try:
                data = path.read_bytes()
            except FileNotFoundError as error:
                raise PictureError("is missing", where=uri, hint="Was the folder moved or cleaned?") from error
        return check_picture(uri, data)

    def exists(self, uri: str) -> bool:
        with _local_errors(self.root):
            try:
                return self._path(uri).stat().st_size > 0
            except (FileNotFoundError, NotADirectoryError):
                return False

    def probe(self) -> None:
        with _local_errors(self.root):
            self._prepared = False
            self._prepare()
            path = self._temp_path()
            _write_new(path, b"catalog-gen")
            _sync_one(path)
            path.unlink()
            self._clean()

    def _prepare(self) -> None:
        if not self._prepared:
            (self._folder / TEMP_DIR).mkdir(parents=True, exist_ok=True)
            self._prepared = True

    def _clean(self) -> None:
        oldest = time.time() - TEMP_MAX_AGE
        for path in (self._folder / TEMP_DIR).iterdir():
            with suppress(FileNotFoundError):  # another worker cleans too
                if path.suffix == ".part" and path.stat().st_mtime < oldest:
                    path.unlink()

    def _write(self, targets: Mapping[Path, bytes]) -> None:
        temps = {path: self._temp_path() for path in targets}
        try:
            for path, temp in temps.items():
                _write_new(temp, targets[path])
            self._sync(temps.values())
            new_folders: set[Path] = set()
            for path, temp in temps.items():
                new_folders |= self._make_folder(path)
                temp.replace(path)
            self._sync(new_folders)
            for path in targets:
                self._made[int(path.name[:4], 16)] = 1
        except BaseException:
            for temp in temps.values():
                with suppress(OSError):  # the first error is the one to report; what stays is cleaned by a later probe
                    temp.unlink(missing_ok=True)
            raise

    def _make_folder(self, path: Path) -> set[Path]:
        """Make the picture's folder; return the folders above it that must be synced for it to last."""
        if self._made[int(path.name[:4], 16)] and path.parent.is_dir():
            return set()
        # Not parents=True: when the root is gone (unmounted), it must not be made anew in the mount point.
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(exist_ok=True)
        return {path.parent.parent, self._folder}

    def _sync(self, paths: Iterable[Path]) -> None:
        paths = list(paths)
        if len(paths) == 1:
            _sync_one(paths[0])
            return
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="storage-sync")
        list(self._pool.map(_sync_one, paths))

    def _temp_path(self) -> Path:
        return self._folder / TEMP_DIR / f"{uuid.uuid4().hex}.part"

    def _path(self, uri: str) -> Path:
        promised_hash(uri)
        scheme, separator, rest = uri.partition("://")
        if not separator or scheme != "file":
            raise PictureError("lies outside of the storage", where=uri, hint=f"storage.url is {self.root}.")
        return Path(unquote(rest))


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holds(path: Path, data: bytes) -> bool:
    """Whether the picture is already in place, byte for byte; a damaged one is written again."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


@contextmanager
def _local_errors(root: str) -> Iterator[None]:
    """An OSError in the block becomes one of this module's two kinds of error."""
    try:
        yield
    except OSError as error:
        raise local_error(error, root) from error


def local_error(error: OSError, root: str) -> CatalogGenError:
    """Return what an OSError means for the run: Unavailable (stop) or TransientError (try again)."""
    what = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    if error.errno in _FULL:
        return Unavailable(f"the disk is full: {what}", where=root, hint="Free some space or change storage.url.")
    if error.errno in _DENIED:
        hint = "Let the job's user write to this folder, or change storage.url."
        return Unavailable(f"the folder cannot be written: {what}", where=root, hint=hint)
    if error.errno in _WRONG:
        hint = "Is it still mounted? Check storage.url."
        return Unavailable(f"the folder cannot be used: {what}", where=root, hint=hint)
    return TransientError(what, where=root)
