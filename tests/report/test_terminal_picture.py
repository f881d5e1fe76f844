"""Pictures in the terminal: what is chosen where, and what comes out when the escape codes are read back."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from catalog_gen.report.history_text import history_text
from catalog_gen.report.terminal_picture import draw, protocol_of

COLOUR = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, "kitty"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/t"}, "none"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "TMUX": "/tmp/t"}, "blocks256"),
        (COLOUR | {"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        (COLOUR | {"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "mlterm-256color"}, "sixel"),
        (COLOUR, "blocks24"),
        ({"TERM": "xterm-256color"}, "blocks256"),
        (COLOUR | {"NO_COLOR": "1"}, "none"),
        ({"TERM": "xterm"}, "none"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "none"),
        ({}, "none"),
    ],
)
def test_the_terminal_is_known_by_its_environment(environment: dict[str, str], protocol: str) -> None:
    assert protocol_of(environment, is_terminal=True) == protocol
    assert protocol_of(environment, is_terminal=False) == "none"


def photo(size: int = 48) -> Image.Image:
    """Red left, green right, and a blue line below."""
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[:, : size // 2] = (255, 0, 0)
    pixels[:, size // 2 :] = (0, 255, 0)
    pixels[-size // 4 :] = (0, 0, 255)
    return Image.fromarray(pixels)


def test_kitty_gets_the_very_pixels_in_chunks() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    commands = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", draw(noise, "kitty", 30))
    assert len(commands) > 1 and all(len(payload) <= 4096 for _, payload in commands)
    assert commands[0][0] == "a=T,f=100,c=30,m=1"
    assert [head for head, _ in commands[1:]] == ["m=1"] * (len(commands) - 2) + ["m=0"]
    shown = Image.open(io.BytesIO(base64.b64decode("".join(payload for _, payload in commands))))
    assert np.array_equal(np.asarray(shown), np.asarray(noise))


def test_iterm2_gets_the_very_pixels() -> None:
    said = draw(photo(), "iterm2", 30)
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+);width=30;preserveAspectRatio=1:(.*)\a\n", said)
    assert found
    data = base64.b64decode(found[2])
    assert len(data) == int(found[1])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(photo()))


def read_sixel(said: str) -> np.ndarray:
    """A reader of the format, from its manual: colours, runs, carriage returns and new bands."""
    head = re.match(r'\x1bPq"1;1;(\d+);(\d+)', said)
    assert head and said.endswith("\x1b\\\n")
    width, height = int(head[1]), int(head[2])
    pixels = np.full((height, width, 3), -1.0)
    colours: dict[int, tuple[float, ...]] = {}
    colour, x, top = 0, 0, 0
    for token in re.findall(r"#\d+(?:;2;\d+;\d+;\d+)?|!\d+.|[$-]|[?-~]", said[head.end() : -3]):
        if token.startswith("#"):
            number, *rgb = (int(part) for part in token[1:].split(";"))
            if rgb:  # 2 stands for RGB, in hundredths
                colours[number] = tuple(part * 2.55 for part in rgb[1:])
            else:
                colour = number
        elif token == "$":
            x = 0
        elif token == "-":
            x, top = 0, top + 6
        else:
            count, bits = (int(token[1:-1]), ord(token[-1]) - 63) if token[0] == "!" else (1, ord(token) - 63)
            for line in range(6):
                if bits >> line & 1:
                    pixels[top + line, x : x + count] = colours[colour]
            x += count
            assert x <= width
    assert (pixels >= 0).all(), "every pixel was drawn"
    return pixels


@pytest.mark.parametrize("size", [48, 50])
def test_sixel_reads_back_as_the_picture(size: int) -> None:
    pixels = read_sixel(draw(photo(size), "sixel"))
    expected = np.asarray(photo(size).resize(pixels.shape[1::-1], Image.Resampling.LANCZOS), np.float64)
    assert pixels.shape == (288, 288, 3)
    assert np.abs(pixels - expected).mean() < 3  # 64 colours, in hundredths


def test_half_blocks_have_two_pixels_a_cell() -> None:
    lines = draw(photo(), "blocks24", 8).splitlines()
    assert len(lines) == 4 and all(line.count("▀") == 8 and line.endswith("\x1b[0m") for line in lines)
    cells = [re.findall(r"38;2;(\d+;\d+;\d+);48;2;(\d+;\d+;\d+)m", line) for line in lines]
    assert cells[0][0] == ("255;0;0", "255;0;0") and cells[0][7] == ("0;255;0", "0;255;0")
    assert cells[3][0][1] == cells[3][7][1] == "0;0;255"


@pytest.mark.parametrize(
    ("colour", "index"),
    [((0, 0, 0), 16), ((255, 255, 255), 231), ((255, 0, 0), 196), ((95, 135, 175), 67), ((47, 48, 114), 16 + 6 + 1)],
)
def test_a_terminal_of_256_colours_gets_the_nearest(colour: tuple[int, int, int], index: int) -> None:
    """By xterm's table: 16 + 36 r + 6 g + b with levels 0, 95, 135, 175, 215, 255."""
    assert f"38;5;{index};48;5;{index}m" in draw(Image.new("RGB", (4, 4), colour), "blocks256", 2)


def test_nothing_is_drawn_where_nothing_can_be() -> None:
    assert draw(photo(), "none") == ""


def test_a_history_cannot_drive_the_terminal() -> None:
    event = {
        "at": "2026-01-31T02:00:00+00:00",
        "kind": "run",
        "run": "r",
        "job": "j",
        "outcome": None,
        "reason": "\x1b]0;x\a",
    }
    product = {"title": "\x1b[31mred\u202e\nnext", "category": "", "attributes": {"a": "\x9b1m"}, "image": None}
    said = history_text({"sku": "\x1bc1", "product": product, "wish": None, "events": [event]})
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)
    assert said.splitlines()[0] == " c1   [31mred  next" and "run r (j): not reached" in said
