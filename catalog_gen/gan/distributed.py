"""Several processes that train one model, as torchrun or Accelerate start them: what they must agree on.

Every process draws and judges its own part of the batch. Gradients are averaged, and batch normalisation uses the
moments of all parts together, so that n processes make the step that one would make on the whole batch.
`nn.SyncBatchNorm` does the same and refuses the CPU; this works on any backend, gloo included.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """Return this process's rank and how many processes there are; (0, 1) without torch.distributed."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@torch.no_grad()
def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its mean over all processes: one all-reduce for each dtype and device.

    Every process must call it with the same parameters, and have gradients for the same ones among them.
    """
    _, size = world()
    if size == 1:
        return
    alike: dict[tuple[torch.dtype, torch.device], list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            alike[parameter.grad.dtype, parameter.grad.device].append(parameter.grad)
    for gradients in alike.values():
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= size
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))


class _SumOfAll(torch.autograd.Function):
    """The sum over processes. Every process's loss depends on it, so its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total: Tensor = _SumOfAll.apply(gradients[0])
        return total


def global_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (C,), biased variance (C,), both float32, and the count of values a channel, over all processes.

    x (B, C, H, W); B may differ between processes. Differentiable: gradients reach every process's x. The parts are
    joined in float64, where the difference of squares does not cancel.
    """
    var, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
    count = mean.new_full((1,), x.numel() / x.shape[1], dtype=torch.float64)
    if world()[1] == 1:
        return mean, var, count
    mean, var = mean.double(), var.double()
    sums: Tensor = _SumOfAll.apply(torch.cat([count, count * mean, count * (var + mean.square())]))
    count, total, squares = torch.split(sums, [1, len(mean), len(mean)])
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp_min(0).float(), count.detach()


def mean_over_processes(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return each scalar's mean over all processes; every process must give the same names in the same order."""
    _, size = world()
    if size == 1:
        return values
    together = torch.stack([value.float() for value in values.values()])
    dist.all_reduce(together)
    return dict(zip(values, (together / size).unbind(), strict=True))


def agree(value: int) -> int:
    """Return the largest `value` that any process gives: what one of them knows, all of them do."""
    if world()[1] == 1:
        return value
    told = torch.tensor([value], device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return int(told.item())


@contextmanager
def in_turn() -> Iterator[None]:
    """Let the processes do the body one after the other, the first one first: it makes what the others only read."""
    rank, size = world()
    for _ in range(rank):
        dist.barrier()
    yield
    for _ in range(size - 1 - rank):
        dist.barrier()


@contextmanager
def processes(device: str) -> Iterator[str]:
    """Join the processes that a launcher started (torchrun, Accelerate); yield this one's device.

    Without a launcher (no WORLD_SIZE in the environment) there is one process, and the device is the one given. The
    others wait as long as it takes while the first one measures.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    backend = "nccl" if device == "cuda" else "gloo"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=timedelta(hours=6))
    try:
        yield device
    finally:
        dist.destroy_process_group()
