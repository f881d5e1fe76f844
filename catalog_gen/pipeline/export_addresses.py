"""Where the world finds a picture: the storage's folder or bucket, and the photos', under public addresses."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from catalog_gen.config import Settings
from catalog_gen.storage import Storage

WEB = ("http://", "https://")


class Addresses:
    """Maps stored pictures by `export.public_url`, and the shop's own photos by `export.photo_url`."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        root = storage.root
        self._root = root if "://" in root else Path(root).as_uri()
        self._public = settings.export.public_url
        self._photos, self._photo_url = settings.restyle.photos, settings.export.photo_url

    def picture(self, uri: str) -> str:
        """Return the public address of a stored picture; "" without `public_url`, or when it lies elsewhere."""
        if not self._public or not uri.startswith(f"{self._root}/"):
            return ""
        return f"{self._public}/{uri.removeprefix(f'{self._root}/')}"

    def photo(self, image: str) -> str:
        """Return the public address of a row's own image; "" when it has none."""
        if image.startswith("//"):  # as shops' pages write it
            return f"https:{image}"
        if image.startswith(WEB):
            return image
        name = self._below_photos(image)
        return f"{self._photo_url}/{quote(name)}" if self._photo_url and name else ""

    def _below_photos(self, image: str) -> str:
        """Return the image's path below `restyle.photos`, or "" when it is not below it."""
        base = self._photos.rstrip("/")
        if "://" in base or "://" in image:
            name = image.removeprefix(f"{base}/") if base and image.startswith(f"{base}/") else image
            return "" if "://" in name or name.startswith("/") else _inside(name)
        if not Path(image).is_absolute():
            return _inside(image)
        folder = os.path.abspath(Path(self._photos).expanduser())  # noqa: PTH100 - resolve() would follow links
        return _inside(image[len(folder) + 1 :]) if image.startswith(f"{folder}/") else ""


def _inside(name: str) -> str:
    return "" if ".." in PurePosixPath(name).parts else name
