"""Reading what a restyled picture is made from: a stored picture, or a photo where the catalogue says it is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from catalog_gen.catalog.model import PictureSource
from catalog_gen.catalog.restyling import input_hash
from catalog_gen.config import Settings
from catalog_gen.errors import PhotoError, RowError, TransientError
from catalog_gen.photos import MAX_BYTES, read_photo
from catalog_gen.storage import Storage


class SourceReader:
    """Reads sources: our own pictures through the storage, photos from a path, `file://` or any URL fsspec can open.

    A relative path starts from `[restyle] photos`, a folder or URL, or else from the folder the job was started in.
    """

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._base, self._storage = settings.restyle.photos, storage
        self._scheme = settings.storage.url.partition("://")[0]
        self._options = settings.storage.options

    def read(self, source: PictureSource) -> tuple[bytes, str]:
        """Return the file's bytes and their SHA-256 (hex).

        Raises RowError or PhotoError with the one reason that stands in the row's way, TransientError where another
        try may go better.
        """
        ours = source.asset is not None
        data = self._storage.get(source.uri) if ours else self._read_photo(self.address(source.uri))
        sha256 = hashlib.sha256(data).hexdigest()
        if source.sha256 and sha256 != source.sha256:
            raise RowError(
                "the photo has changed since it was imported", where=source.uri, hint="Import the feed again."
            )
        return data, sha256

    def key(self, image: str, sha256: str | None) -> str:
        """Return what stands for a photo's bytes without reading them.

        The hash that an import noted, where there is one; else a local file's path, size and time of change. A URL is
        taken at its word: a shop that changes the picture behind it is noticed when it changes the URL.
        """
        if sha256:
            return sha256
        address = self.address(image)
        if isinstance(address, str):
            return input_hash("url", address)
        try:
            stat = address.stat()
        except (OSError, ValueError):  # it fails when it is read, with its reason
            return input_hash("file", str(address))
        return input_hash("file", str(address), str(stat.st_size), str(stat.st_mtime_ns))

    def address(self, image: str) -> Path | str:
        """Return where a row's image is: a local path, or a URL."""
        if image.startswith("//"):  # as shops' pages write it
            return f"https:{image}"
        scheme, separator, rest = image.partition("://")
        if separator:
            return Path(unquote(rest)) if scheme in ("file", "local") else image
        if "://" in self._base and not Path(image).is_absolute():
            return f"{self._base.rstrip('/')}/{image}"
        return Path(self._base).expanduser() / image

    def _read_photo(self, address: Path | str) -> bytes:
        if isinstance(address, Path):
            return read_photo(address)
        shown = urlsplit(address)._replace(query="").geturl()  # a signed URL's signature is a secret
        scheme = address.partition("://")[0]
        options: dict[str, Any] = dict(self._options) if scheme == self._scheme else {}
        import fsspec

        try:
            with fsspec.open(address, "rb", **options) as file:
                data: bytes = file.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise PhotoError("is missing", where=shown) from error
        except PermissionError as error:
            raise PhotoError("may not be read by this job", where=shown) from error
        except ImportError as error:
            raise PhotoError(f"{scheme} photos need another package ({error})", where=shown) from error
        except ValueError as error:
            raise PhotoError(f"cannot be addressed ({error})", where=shown) from error
        except Exception as error:  # every file system of fsspec has errors of its own for a network that fails
            raise TransientError(f"cannot be read ({type(error).__name__}: {error})", where=shown) from error
        if len(data) > MAX_BYTES:
            raise PhotoError(f"over {MAX_BYTES // 1_000_000} MB", where=shown, hint="Scale it down.")
        return data


def photo_name(uri: str) -> str:
    """Return a photo's name without its folders, which are nobody's business outside of the shop."""
    return unquote(urlsplit(uri).path if "://" in uri else uri).rstrip("/").rpartition("/")[2]
