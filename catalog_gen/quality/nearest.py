"""The picture most alike in shape: the nearest perceptual hash among many, by one matrix product.

Hashes as vectors of +1 and -1 have the dot product 64 - 2 d at a Hamming distance of d, so the nearest of fifty
thousand is a row's largest entry, and BLAS does the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_BITS = 64
_BLOCK = 256  # pictures at once: 256 x 50,000 products are 51 MB

Signs = npt.NDArray[np.float32]


class Shapes:
    """Named perceptual hashes, ready to be searched. `hashes` are 16 hex digits each, as `phash.phash_hex` gives."""

    def __init__(self, names: Sequence[str], hashes: Sequence[str]) -> None:
        self.names = list(names)
        self._place = {name: place for place, name in enumerate(self.names)}
        self._signs = _signs(hashes)  # (N, 64)

    def nearest(self, names: Sequence[str], hashes: Sequence[str]) -> list[tuple[str, int] | None]:
        """Return for each picture the name of the nearest other one and the bits (0 to 64) that differ.

        A picture is never its own nearest; of equals, the first of those given wins. None where there is no other.
        """
        found: list[tuple[str, int] | None] = []
        for start in range(0, len(names), _BLOCK):
            some = names[start : start + _BLOCK]
            products = _signs(hashes[start : start + _BLOCK]) @ self._signs.T  # (B, N)
            for row, name in zip(products, some, strict=True):
                if name in self._place:
                    row[self._place[name]] = -np.inf
                best = int(row.argmax()) if len(row) else -1
                known = best >= 0 and np.isfinite(row[best])
                found.append((self.names[best], round((_BITS - float(row[best])) / 2)) if known else None)
        return found


def _signs(hashes: Sequence[str]) -> Signs:
    whole = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(-1, _BITS // 8)
    return np.unpackbits(whole, axis=1).astype(np.float32) * 2 - 1
