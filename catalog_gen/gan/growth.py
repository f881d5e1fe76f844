"""A trained generator, made larger: the same pictures at first, and room for what the smaller size could not show.

Growing by sizes is progressive growing's idea (arXiv 1710.10196); instead of fading a new size in, it begins as the
exact bilinear enlargement of the old picture, so that nothing that was learnt is lost on the way (the
function-preserving transformations of Net2Net, arXiv 1511.05641).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.errors import UsageError
from catalog_gen.gan.config import GeneratorConfig
from catalog_gen.gan.generator import Generator, Stage
from catalog_gen.gan.latents import latents
from catalog_gen.gan.norms import ModulatedNorm

NARROWEST = 16  # channels of a new stage; its first six carry the old picture
CALIBRATION = 64  # pictures whose colours' spread is measured
_LEAK = 0.2  # of the activation in front of every convolution


def grown_config(config: GeneratorConfig, image_size: int) -> GeneratorConfig:
    """Return the config with stages added up to `image_size`, each three quarters as wide as the one before.

    Raises UsageError for a size that no doubling reaches, and for a generator whose norms would lose the picture.
    """
    channels, size = list(config.channels), config.image_size
    while size < image_size:
        channels.append(max(NARROWEST, channels[-1] * 3 // 4 // 8 * 8))
        size *= 2
    if size != image_size or size == config.image_size:
        raise UsageError(
            f"{image_size} px is no doubling of the bundle's {config.image_size}",
            where="--grow",
            hint=f"For example {2 * config.image_size}.",
        )
    if config.norm != "batch" or config.activation != "leaky_relu":
        raise UsageError(
            f"a generator with {config.norm} norms and {config.activation} cannot be grown",
            where="--grow",
            hint="Train one of that size from the beginning.",
        )
    shape = config.model_dump() | {"image_size": size, "channels": tuple(channels)}
    return GeneratorConfig.model_validate(shape)


def grown_weights(
    weights: Mapping[str, Tensor], config: GeneratorConfig, image_size: int, texts: npt.NDArray[np.float32]
) -> dict[str, Tensor]:
    """Return the tensors of `config`'s generator, grown to `image_size`: it draws the old pictures, enlarged.

    texts (N, text_dim), N > 1: words to measure the colours' spread on. Raises what `grown_config` raises.
    """
    target = grown_config(config, image_size)
    generator = Generator(config)
    generator.load_state_dict(dict(weights))
    while generator.config.image_size < image_size:
        size = 2 * generator.config.image_size
        step = GeneratorConfig.model_validate(
            target.model_dump() | {"image_size": size, "channels": target.channels[: len(generator.stages) + 1]}
        )
        generator = _doubled(generator, step, texts[:CALIBRATION])
    return generator.state_dict()


@torch.no_grad()
def _doubled(old: Generator, config: GeneratorConfig, texts: npt.NDArray[np.float32]) -> Generator:
    mean, deviation = _spread(old, texts)
    new = Generator(config)
    kept = {name: tensor for name, tensor in old.state_dict().items() if not name.startswith(("norm_rgb", "to_rgb"))}
    new.load_state_dict(new.state_dict() | kept)
    stage, norm = new.stages[-1], new.norm_rgb
    assert isinstance(stage, Stage) and isinstance(norm, ModulatedNorm)
    stage.norm_up.load_state_dict(old.norm_rgb.state_dict())
    # The old picture in three channels, and its negative in three more: what the activation bends in the one it leaves
    # straight in the other, and their difference is the picture again.
    stage.conv_up.weight[:6] = torch.cat([old.to_rgb.weight, -old.to_rgb.weight])
    stage.conv.weight[:6] = 0
    for linear in (norm.scale, norm.shift):
        nn.init.zeros_(linear.weight)
    norm.running_mean[:6] = torch.cat([mean, -mean])
    norm.running_var[:6] = torch.cat([deviation, deviation]).square()
    new.to_rgb.weight.zero_()
    spread = (deviation.square() + norm.eps).sqrt() / (1 + _LEAK)
    for colour in range(3):
        new.to_rgb.weight[colour, colour, 1, 1] = spread[colour]
        new.to_rgb.weight[colour, 3 + colour, 1, 1] = -spread[colour]
    assert old.to_rgb.bias is not None and new.to_rgb.bias is not None
    new.to_rgb.bias.copy_(old.to_rgb.bias + mean)
    return new


def _spread(generator: Generator, texts: npt.NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (3,) of the enlarged pictures in front of the last bias and the tanh."""
    assert generator.to_rgb.bias is not None
    z = torch.from_numpy(latents(np.arange(len(texts), dtype=np.int64), generator.config.z_dim))
    seen: list[Tensor] = []
    hook = generator.to_rgb.register_forward_hook(lambda module, inputs, output: seen.append(output))
    generator.eval()(z, torch.from_numpy(np.ascontiguousarray(texts)))
    hook.remove()
    raw = seen[0] - generator.to_rgb.bias[:, None, None]  # (B, 3, S, S)
    raw = F.interpolate(raw, scale_factor=2, mode="bilinear", align_corners=False)
    return raw.mean((0, 2, 3)), raw.std((0, 2, 3)).clamp_min(1e-3)
