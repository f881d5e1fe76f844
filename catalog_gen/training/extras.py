"""Optional packages: imported late, and loud when missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from catalog_gen.errors import Unavailable


@contextmanager
def needs(package: str, extra: str = "train") -> Iterator[None]:
    """Around an import of `package`: when it is missing, raise Unavailable naming the extra that installs it."""
    try:
        yield
    except ImportError as error:
        raise Unavailable(
            f"the package {package} cannot be imported ({error})", hint=f"pip install 'catalog-gen[{extra}]'"
        ) from error
