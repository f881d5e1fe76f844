"""`make bench`: what the job costs beside its models, measured in one run on this machine.

Every figure is images (candidates) a second over the same rows; the ratios are of this run alone. Finishing: one
picture a row is enlarged by the upscaler and encoded with its provenance inside.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch

from catalog_gen.bundles import load_bundle, load_into, read_weights
from catalog_gen.catalog.model import Product
from catalog_gen.config import Settings, load_settings
from catalog_gen.encode import encode_image
from catalog_gen.gan.config import GeneratorConfig
from catalog_gen.gan.generator import Generator
from catalog_gen.pipeline.models import Models, load_models
from catalog_gen.pipeline.prompting import product_prompt
from catalog_gen.provenance import Provenance, build_xmp
from catalog_gen.upscale.config import UpscalerConfig
from catalog_gen.upscale.network import UpscaleNetwork
from catalog_gen.upscale.upscaler import prepared
from integration.shop import Shop

EAGER_BATCH = 32
PUBLIC, PUBLIC_LATENT = "lightweight-gan", 256
ENLARGED = (8, 24)  # pictures at once and, in all, timed
LONGEST = 60.0  # seconds that a loop is timed
HELP_STARTS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--candidates", type=int, nargs="+", default=[4, 1])
    given = parser.parse_args()
    threads = torch.get_num_threads()  # before the job, which gives every batch one
    say(f"torch {torch.__version__}, {threads} threads, {given.rows} rows\n")
    compare_upscaler()
    say(f"catalog-gen --help: {help_seconds():.2f} s (best of {HELP_STARTS})\n")
    for candidates in given.candidates:
        compare(given.rows, candidates, threads)


def compare(rows: int, candidates: int, threads: int) -> None:
    """Time the plain loops and the job with `candidates` pictures a row, and print them with their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        flags = {
            "database.url": f"sqlite:///{folder}/bench.sqlite3",
            "storage.url": f"{folder}/pictures",
            "gan.candidates": candidates,
            "gan.ladder": 0,  # the loops beside it draw no row again
        }
        settings = load_settings(None, env={}, use_default_file=False, flags=flags)
        shop = Shop(settings)
        database = shop.database()
        database.upgrade()
        database.dispose()
        shop.add(rows)
        models = load_models(settings)
        torch.set_num_threads(threads)
        loops = PlainLoops(settings, models, rows, candidates)
        public = public_generator(models.drawer.image_size)
        figures = {
            **({} if public is None else {f"{PUBLIC}, eager fp32": loops.rate(lambda _: loops.draw_public(public))}),
            "generator, eager fp32": loops.rate(loops.draw_eager),
            "the same + finishing": loops.rate(loops.draw_eager_and_finish),
            "generator, as shipped": loops.rate(loops.draw),
            "generator + finishing": loops.rate(loops.draw_and_finish),
            "every model + finishing": loops.rate(loops.everything),
        }
        figures["the whole job"] = shop.fill().images_per_second
    job = figures["the whole job"]
    say(f"\n{candidates} candidates a row\n{'':28}{'images/s':>10}{'job is':>10}\n")
    for name, rate in figures.items():
        say(f"{name:28}{rate:10.1f}{100 * job / rate:9.0f} %\n")


def compare_upscaler(side: int = 128) -> None:
    """Time the upscaler of the default shape as the job runs it, and as torch builds it, on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    batch, count = ENLARGED
    pictures = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    torch.manual_seed(0)
    network = UpscaleNetwork(UpscalerConfig()).eval()
    fast = prepared(copy.deepcopy(network))

    def eager() -> None:
        with torch.inference_mode():
            network(torch.from_numpy(pictures).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1)

    figures = {}
    for name, enlarge in (("eager fp32", eager), ("as shipped", lambda: fast.enlarge(pictures))):
        enlarge()
        started = time.perf_counter()
        for _ in range(count // batch):
            enlarge()
        figures[name] = (time.perf_counter() - started) / count
    large = side * network.config.factor
    told = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in figures.items())
    ratio = figures["eager fp32"] / figures["as shipped"]
    say(f"upscaler, {side} to {large} px, a picture on one core: {told} ({ratio:.1f} times as fast)\n")
    torch.set_num_threads(threads)


class PlainLoops:
    """The same models over the same rows, page by page in one thread."""

    def __init__(self, settings: Settings, models: Models, rows: int, candidates: int) -> None:
        self.settings, self.models, self.rows, self.candidates = settings, models, rows, candidates
        self.prompts = [
            product_prompt(Product(str(i), f"navy blue shirt number {i}", "shirt"), settings.prompt)
            for i in range(rows)
        ]
        self.eager = eager_generator(settings.gan.model)
        self.text = models.clip.embed_texts(self.prompts[:64])  # what the loops without CLIP draw from

    def rate(self, page: Callable[[int], None], size: int = 64) -> float:
        """Return images a second of `page(first row)`, after one page that is not timed: over all rows or `LONGEST`."""
        page(0)
        done, started = 0, time.perf_counter()
        while done < self.rows and time.perf_counter() - started < LONGEST:
            page(done)
            done += size
        return done * self.candidates / (time.perf_counter() - started)

    def draw(self, first: int) -> torch.Tensor:
        return self._draw(self.text, first)

    def _draw(self, text: np.ndarray, first: int) -> torch.Tensor:
        count = len(text) * self.candidates
        return self.models.drawer.draw(np.repeat(text, self.candidates, axis=0), np.arange(first, first + count))

    def draw_and_finish(self, first: int) -> None:
        self._finish(self.draw(first), first)

    def everything(self, first: int) -> None:
        text = self.models.clip.embed_texts(self.prompts[first : first + 64])
        pictures = self._draw(text, first)
        self.models.clip.embed_images(pictures)
        self._finish(pictures, first)

    def _finish(self, pictures: torch.Tensor, first: int) -> None:
        """Finish one picture a row as the job does: enlarged, and encoded with its provenance inside."""
        storage, upscaler = self.settings.storage, self.models.upscaler
        kept = np.ascontiguousarray(pictures[:: self.candidates].numpy().transpose(0, 2, 3, 1))
        for row, rgb in enumerate(upscaler.enlarge(kept) if upscaler else kept, start=first):
            said = Provenance(sku=str(row), prompt=self.prompts[row], gan="g", clip="c", seed=row)
            encode_image(rgb, storage.format, storage.quality, build_xmp(said))

    def draw_eager(self, first: int) -> torch.Tensor:
        """Draw with the generator as trained: fp32, no channels-last, no folding."""
        wanted = 64 * self.candidates
        with torch.inference_mode():
            text = torch.from_numpy(self.text[:1]).expand(EAGER_BATCH, -1)
            noise = torch.randn(EAGER_BATCH, self.models.drawer.z_dim)
            return torch.cat([self.eager(noise, text) for _ in range(wanted // EAGER_BATCH)])

    def draw_public(self, network: torch.nn.Module) -> None:
        """Draw as many with another package's generator, as torch builds it and in the same batches."""
        with torch.inference_mode():
            for _ in range(64 * self.candidates // EAGER_BATCH):
                network(torch.randn(EAGER_BATCH, PUBLIC_LATENT))

    def draw_eager_and_finish(self, first: int) -> None:
        pictures = self.draw_eager(first).add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
        self._finish(pictures, first)


def eager_generator(spec: str) -> Generator:
    """Return the bundle's network as torch builds it."""
    bundle = load_bundle(spec, "gan")
    network = Generator(GeneratorConfig.model_validate(bundle.config["generator"]))
    load_into(network, read_weights(bundle), bundle)
    return network.eval()


def public_generator(side: int) -> torch.nn.Module | None:
    """Return lightweight-gan's generator of `side` px at its defaults, untrained; None where it is not installed."""
    try:
        with patch.object(torch.cuda, "is_available", return_value=True):  # which its module wants, and this needs not
            from lightweight_gan.lightweight_gan import Generator as Public
    except ModuleNotFoundError:
        say(f"{PUBLIC} is not installed, and is left out: pip install {PUBLIC}\n")
        return None
    torch.manual_seed(0)
    network: torch.nn.Module = Public(image_size=side, latent_dim=PUBLIC_LATENT, attn_res_layers=[32])
    return network.eval()


def help_seconds() -> float:
    """Return the best time of `catalog-gen --help` in a process of its own."""
    best = float("inf")
    for _ in range(HELP_STARTS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "catalog_gen", "--help"], check=True, capture_output=True)
        best = min(best, time.perf_counter() - started)
    return best


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
