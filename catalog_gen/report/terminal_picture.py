"""A picture in the terminal, as well as the terminal can: kitty's or iTerm2's protocol, sixel, or half-blocks.

What it can is told by its environment, and never asked: a question to a terminal that does not answer hangs.
Protocols: https://sw.kovidgoyal.net/kitty/graphics-protocol/, https://iterm2.com/documentation-images.html, and the
sixel format as DEC's VT330/VT340 manual has it (chapter 14).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from itertools import groupby
from typing import Literal

from PIL import Image

Protocol = Literal["kitty", "iterm2", "sixel", "blocks24", "blocks256", "none"]

COLUMNS = 36  # character cells that a picture is wide, if the terminal has them
SIXEL_PIXELS = 288
SIXEL_COLOURS = 64
_CHUNK = 4096  # characters of a kitty command's payload
_ESC = "\x1b"


def protocol_of(environment: Mapping[str, str], *, is_terminal: bool) -> Protocol:
    """Return how a picture can be drawn on the terminal that `environment` describes; "none" where output is piped.

    Inside tmux or screen, which do not pass pictures on as they are, it is half-blocks. NO_COLOR (no-color.org) and
    terminals without colour get none.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if not is_terminal or term in ("", "dumb"):
        return "none"
    if "TMUX" not in environment and not term.startswith(("tmux", "screen")):
        if "KITTY_WINDOW_ID" in environment or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
            return "kitty"
        if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
            return "iterm2"
        if term.startswith(("foot", "contour", "mlterm", "yaft")) or "sixel" in term:
            return "sixel"
    if "NO_COLOR" in environment:
        return "none"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return "blocks24"
    return "blocks256" if "256color" in term else "none"


def draw(image: Image.Image, protocol: Protocol, columns: int = COLUMNS) -> str:
    """Return what to print for an RGB image to appear `columns` cells wide; "" for the protocol "none"."""
    if protocol == "kitty":
        return _kitty(image, columns)
    if protocol == "iterm2":
        data = base64.b64encode(_png(image))
        size = f"size={len(_png(image))};width={columns};preserveAspectRatio=1"
        return f"{_ESC}]1337;File=inline=1;{size}:{data.decode()}\a\n"
    if protocol == "sixel":
        return _sixel(image)
    if protocol == "none":
        return ""
    return _blocks(image, columns, true_colour=protocol == "blocks24")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _kitty(image: Image.Image, columns: int) -> str:
    text = base64.b64encode(_png(image)).decode()
    parts = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    said = ""
    for number, part in enumerate(parts):
        head = f"a=T,f=100,c={columns}," if number == 0 else ""
        said += f"{_ESC}_G{head}m={int(number < len(parts) - 1)};{part}{_ESC}\\"
    return f"{said}\n"


def _sixel(image: Image.Image) -> str:
    scale = SIXEL_PIXELS / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS).quantize(SIXEL_COLOURS)
    palette = (small.getpalette() or [])[: 3 * SIXEL_COLOURS]
    pixels = small.load()
    assert pixels is not None, "it was made in memory"
    said = f'{_ESC}Pq"1;1;{width};{height}'
    for colour in range(len(palette) // 3):
        red, green, blue = (round(value * 100 / 255) for value in palette[3 * colour : 3 * colour + 3])
        said += f"#{colour};2;{red};{green};{blue}"
    for top in range(0, height, 6):  # a band of six lines, drawn once for each of its colours
        bits: dict[int, list[int]] = {}
        for x in range(width):
            for line in range(min(6, height - top)):
                row = bits.setdefault(int(pixels[x, top + line]), [0] * width)  # type: ignore[arg-type]
                row[x] |= 1 << line
        said += "$".join(f"#{colour}{_runs(row)}" for colour, row in sorted(bits.items())) + "-"
    return f"{said}{_ESC}\\\n"


def _runs(row: list[int]) -> str:
    said = ""
    for value, group in groupby(row):
        count, character = len(list(group)), chr(63 + value)
        said += f"!{count}{character}" if count > 3 else character * count
    return said


def _blocks(image: Image.Image, columns: int, *, true_colour: bool) -> str:
    """Two pixels a cell: the upper one is the half-block's colour, the lower one its ground's."""
    lines = max(1, round(columns * image.height / image.width / 2))
    small = image.convert("RGB").resize((columns, 2 * lines), Image.Resampling.LANCZOS)
    data = small.tobytes()
    at = [[tuple(data[3 * (y * columns + x) :][:3]) for x in range(columns)] for y in range(2 * lines)]
    code = _true if true_colour else _cube
    rows = []
    for upper, lower in zip(at[::2], at[1::2], strict=True):
        cells = (f"{_ESC}[38;{code(a)};48;{code(b)}m▀" for a, b in zip(upper, lower, strict=True))
        rows.append("".join(cells) + f"{_ESC}[0m\n")
    return "".join(rows)


def _true(colour: tuple[int, ...]) -> str:
    return f"2;{colour[0]};{colour[1]};{colour[2]}"


def _cube(colour: tuple[int, ...]) -> str:
    """The nearest of xterm's 6 x 6 x 6 colours, whose levels are 0, 95, 135, 175, 215, 255."""
    red, green, blue = (0 if value < 48 else 1 if value < 115 else (value - 35) // 40 for value in colour)
    return f"5;{16 + 36 * red + 6 * green + blue}"
