"""Pictures in an object store: S3 through s3fs, and any other file system that fsspec knows and its package serves.

fsspec runs asynchronous file systems on one event loop in a thread of its own and hands calls over to it, so that
one `ObjectStorage` may be used from any number of threads.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from catalog_gen.errors import CatalogGenError, ConfigError, TransientError, Unavailable
from catalog_gen.storage import TEMP_DIR, PictureError, Stored, check_picture, picture_name, promised_hash

CONCURRENCY = 32  # requests in flight for one batch; S3 takes thousands a second, a small site's MinIO does not
EXTRAS = {"s3": "s3", "s3a": "s3"}
PACKAGES = {
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
    "abfss": "adlfs",
    "sftp": "paramiko",
}
# A put is atomic here; elsewhere (sftp, smb, hdfs) a picture is written under a temporary name and renamed.
ATOMIC_PUT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "abfss", "memory", "oss", "obs", "oci", "r2"})
MEDIA_TYPES = {"webp": "image/webp", "jpg": "image/jpeg", "png": "image/png"}
_CREDENTIAL_NAMES = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
                               "ProfileNotFound", "TokenRetrievalError", "UnauthorizedSSOTokenError"})  # fmt: skip
_CREDENTIAL_CODES = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
                               "AuthFailure", "InvalidClientTokenId", "TokenRefreshRequired"})  # fmt: skip
_CREDENTIAL_HINT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or key and secret in [storage.options]."
)
_WRONG = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
                    getattr(errno, "EREMCHG", errno.EINVAL)})  # fmt: skip


class ObjectStorage:
    """A place behind an fsspec URL. Each picture is one atomic put, so its name never holds half of it."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.root = url
        self._scheme = url.partition("://")[0]
        self._fs, self._path = _connect(url, self._scheme, options)

    def put(self, data: bytes, suffix: str) -> Stored:
        return self.put_many([(data, suffix)])[0]

    def put_many(self, pictures: Sequence[tuple[bytes, str]]) -> list[Stored]:
        stored: list[Stored] = []
        by_type: dict[str, dict[str, bytes]] = {}
        for data, suffix in pictures:
            name, sha256 = picture_name(data, suffix)
            stored.append(Stored(f"{self.root}/{name}", sha256, len(data)))
            by_type.setdefault(suffix, {})[f"{self._path}/{name}"] = data
        with self._errors():
            for suffix, files in by_type.items():
                self._pipe(files, MEDIA_TYPES.get(suffix, "application/octet-stream"))
        return stored

    def get(self, uri: str) -> bytes:
        path = self._own_path(uri)
        with self._errors():
            try:
                data = self._fs.cat_file(path)
            except FileNotFoundError as error:
                raise PictureError("is missing", where=uri, hint="Was the bucket cleaned?") from error
        return check_picture(uri, bytes(data))

    def exists(self, uri: str) -> bool:
        path = self._own_path(uri)
        with self._errors():
            return bool(self._fs.exists(path))

    def probe(self) -> None:
        path = f"{self._path}/.probe"  # always the same name: where deleting is not allowed, probes do not pile up
        with self._errors():
            self._pipe({path: b"catalog-gen"}, "text/plain")
            try:
                self._fs.rm_file(path)
            except PermissionError:
                return  # a writer that may not delete is a sound policy, and the job never deletes a picture

    def _pipe(self, files: Mapping[str, bytes], media_type: str) -> None:
        if self._scheme in ATOMIC_PUT:
            kwargs = {"ContentType": media_type} if self._scheme in ("s3", "s3a") else {}
            if getattr(self._fs, "async_impl", False):
                kwargs["batch_size"] = CONCURRENCY  # type: ignore[assignment]
            self._fs.pipe(dict(files), **kwargs)
            return
        self._fs.makedirs(f"{self._path}/{TEMP_DIR}", exist_ok=True)
        for path, data in files.items():
            temporary = f"{self._path}/{TEMP_DIR}/{uuid4().hex}.part"
            self._fs.pipe_file(temporary, data)
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.mv(temporary, path)

    def _own_path(self, uri: str) -> str:
        promised_hash(uri)
        if uri.partition("://")[0] != self._scheme:
            raise PictureError("lies outside of the storage", where=uri, hint=f"storage.url is {self.root}.")
        return str(self._fs._strip_protocol(uri))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except CatalogGenError:
            raise
        except Exception as error:  # every store's package has errors of its own; none is hidden, all are translated
            raise object_error(error, self.root) from error


def _connect(url: str, scheme: str, options: dict[str, Any]) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        if scheme in ("s3", "s3a"):
            options = _s3_defaults(options)
        filesystem, path = url_to_fs(url, **options)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        package = PACKAGES.get(scheme)
        install = f"Run: pip install 'catalog-gen[{extra}]'" if extra else str(error)
        install = f"Run: pip install {package}" if package else install
        raise Unavailable(f"{scheme}:// needs a package that is not installed", where=url, hint=install) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(str(error), where=f"storage.url {url!r}", hint="Check it and [storage.options].") from error
    return filesystem, str(path).rstrip("/")


def _s3_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """The user's options, with a connection for each request in flight and no retries hidden below our own."""
    config = {"max_pool_connections": CONCURRENCY, "connect_timeout": 10, "read_timeout": 60}
    config["retries"] = {"max_attempts": 2, "mode": "standard"}  # type: ignore[assignment]
    merged = {"use_listings_cache": False, **options}
    merged["config_kwargs"] = {**config, **options.get("config_kwargs", {})}
    return merged


def object_error(error: Exception, root: str) -> CatalogGenError:
    """Return what a store's error means for the run: Unavailable (stop) or TransientError (try again)."""
    code = _error_code(error)
    names = {type(each).__name__ for each in _chain(error)}
    what = " ".join(str(error).split())[:200] or type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    if names & _CREDENTIAL_NAMES or code in _CREDENTIAL_CODES:
        return Unavailable(f"no valid credentials: {what}", where=root, hint=_CREDENTIAL_HINT)
    if code == "RequestTimeTooSkewed":
        return Unavailable(f"this machine's clock is wrong: {what}", where=root)
    if isinstance(error, PermissionError) or number in (errno.EPERM, errno.EROFS):
        hint = "Let the job's account put and get objects there (s3:PutObject, s3:GetObject)."
        return Unavailable(f"may not be written: {what}", where=root, hint=hint)
    if isinstance(error, FileNotFoundError):
        return Unavailable(f"no such bucket or folder: {what}", where=root, hint="Create it, or change storage.url.")
    if number in (errno.ENOSPC, errno.EDQUOT) or code in ("QuotaExceeded", "XMinioStorageFull"):
        return Unavailable(f"the store is full: {what}", where=root, hint="Free some space or raise the quota.")
    if number in _WRONG or isinstance(error, ValueError | TypeError) or "ParamValidationError" in names:
        hint = "Check storage.url and [storage.options] (endpoint_url, region)."
        return Unavailable(f"the store refuses the request: {what}", where=root, hint=hint)
    return TransientError(f"{code or type(error).__name__}: {what}", where=root)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _error_code(error: Exception) -> str:
    """The store's own word for what happened (`SlowDown`, `AccessDenied`), as botocore carries it."""
    for each in _chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""
