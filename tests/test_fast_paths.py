"""How far the pictures of the fast path (bf16, folded, channels last) may be from those of the networks in fp32."""

from __future__ import annotations

import numpy as np
import torch

from catalog_gen.bundles import load_bundle, load_into, read_weights
from catalog_gen.clip.model import load_clip
from catalog_gen.config import Settings
from catalog_gen.gan.config import GeneratorConfig
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.latents import latents
from catalog_gen.gan.sampling import load_drawer
from catalog_gen.upscale.config import UpscalerConfig
from catalog_gen.upscale.network import UpscaleNetwork
from catalog_gen.upscale.upscaler import load_upscaler

WORDS = ["red running shoes", "black leather wallet", "blue check shirt men", "gold watch women", "grey handbag"]


def test_the_generators_bf16_pictures_are_near_those_of_the_network_as_trained() -> None:
    bundle = load_bundle(Settings().gan.model, "gan")
    network = Generator(GeneratorConfig.model_validate(bundle.config["generator"]))
    load_into(network, read_weights(bundle), bundle)
    text, seeds = load_clip().embed_texts(WORDS), np.arange(len(WORDS))
    with torch.inference_mode():
        drawn = network.eval()(torch.from_numpy(latents(seeds, network.config.z_dim)), torch.from_numpy(text))
    exact = drawn.add(1).mul(127.5).round().clamp(0, 255)
    fast = load_drawer(bundle.name, precision="bf16").draw(text, seeds)
    apart = (fast.float() - exact).abs().numpy()
    assert apart.mean() < 1 and np.quantile(apart, 0.999) < 24
    assert exact.std() > 30, "these are pictures"


def test_the_upscalers_bf16_pictures_are_near_those_of_the_network_as_trained() -> None:
    small = load_drawer(Settings().gan.model, precision="fp32").draw(
        load_clip().embed_texts(WORDS), np.arange(len(WORDS))
    )
    bundle = load_bundle(Settings().upscale.model, "upscale")
    network = UpscaleNetwork(UpscalerConfig.model_validate(bundle.config["upscaler"]))
    load_into(network, read_weights(bundle), bundle)
    with torch.inference_mode():
        drawn = network.eval()(small.float() / 127.5 - 1)
    exact = drawn.add(1).mul(127.5).round().clamp(0, 255).numpy().transpose(0, 2, 3, 1)
    fast = load_upscaler(bundle.name, precision="bf16").enlarge(
        np.ascontiguousarray(small.numpy().transpose(0, 2, 3, 1))
    )
    apart = np.abs(fast - exact)
    assert apart.mean() < 0.2 and apart.max() <= 8
