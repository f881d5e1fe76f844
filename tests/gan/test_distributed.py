"""Two real processes on the CPU do together what one does on the whole batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from catalog_gen.gan.distributed import average_gradients, global_moments, in_turn, world
from catalog_gen.gan.export import settle_norms
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.norms import ModulatedNorm
from tests.gan.conftest import TINY, unit_rows

Result = dict[str, Tensor | list[Tensor]]


def _x() -> Tensor:
    """A batch of five whose halves have other means, far from zero."""
    x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 + 50
    x[2:] += 7
    return x


def _norm_alone(part: slice) -> Result:
    norm, x = ModulatedNorm(3, 4, momentum=0.5).train(), _x()[part].requires_grad_()
    w = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))[part]
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
    out = norm(x, w)
    weight = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(3))[part]
    (out.tanh() * weight).sum().backward()
    assert x.grad is not None
    gradients = [p.grad.clone() for p in norm.parameters() if p.grad is not None]
    return {"out": out.detach(), "x": x.grad, "gradients": gradients, "buffers": [b.clone() for b in norm.buffers()]}


def _generator(part: slice) -> Result:
    """A generator's step as training makes it: the mean over the part, then the mean of the gradients."""
    torch.manual_seed(0)
    network = Generator(TINY).train()
    network.checkpointing = True
    z = torch.randn(4, TINY.z_dim, generator=torch.Generator().manual_seed(1))[part]
    drawn = network(z, torch.from_numpy(unit_rows(4))[part])
    drawn.square().mean().backward()
    average_gradients(network.parameters())
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    return {"out": drawn.detach(), "gradients": gradients, "buffers": [b.clone() for b in network.buffers()]}


def _work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        assert world() == (rank, 2)
        result: dict[str, object] = {
            "norm": _norm_alone(slice(0, 2) if rank == 0 else slice(2, 5)),
            "generator": _generator(slice(2 * rank, 2 * rank + 2)),
        }
        parameters = [torch.zeros(2, 3), torch.zeros(4, dtype=torch.float64), torch.zeros(1)]
        for parameter, value in zip(parameters[:2], (1.0 + rank, 10.0 * rank), strict=True):
            parameter.grad = torch.full_like(parameter, value)
        average_gradients(parameters)
        result["averaged"] = [p.grad for p in parameters]
        if rank == 0:  # the other process takes no part: it must not be waited for
            torch.manual_seed(0)
            result["settled"] = list(settle_norms(Generator(TINY), unit_rows(8), 0).buffers())
        torch.save(result, f"{folder}/{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder: Path = tmp_path_factory.mktemp("world")
    mp.spawn(_work, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def _close(got: object, expected: object) -> None:
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_alone_there_is_one_process_and_nothing_to_average() -> None:
    assert world() == (0, 1)
    parameter = torch.zeros(2)
    parameter.grad = torch.tensor([1.0, 2.0])
    average_gradients([parameter])
    assert parameter.grad.tolist() == [1.0, 2.0]
    mean, var, count = global_moments(_x())
    _close((mean, var), (_x().mean((0, 2, 3)), _x().var((0, 2, 3), correction=0)))
    assert count.tolist() == [80]


@pytest.mark.parametrize("case", [_norm_alone, _generator])
def test_two_parts_are_normalised_as_one_batch(both: list[dict[str, object]], case: Callable[[slice], Result]) -> None:
    whole = case(slice(None))
    one, two = (part[case.__name__.removeprefix("_").removesuffix("_alone")] for part in both)
    assert isinstance(one, dict) and isinstance(two, dict)
    for name in one.keys() & {"out", "x"}:
        _close(torch.cat([one[name], two[name]]), whole[name])
    if case is _norm_alone:  # of a sum, and not averaged yet: the parts' gradients add up
        _close([a + b for a, b in zip(one["gradients"], two["gradients"], strict=True)], whole["gradients"])
    else:
        _close(one["gradients"], whole["gradients"])
        _close(two["gradients"], whole["gradients"])
    for part in (one, two):
        _close(part["buffers"], whole["buffers"])


def test_gradients_are_averaged_by_dtype_and_absent_ones_stay_absent(both: list[dict[str, object]]) -> None:
    for result in both:
        averaged = result["averaged"]
        assert isinstance(averaged, list)
        assert torch.equal(averaged[0], torch.full((2, 3), 1.5))
        assert torch.equal(averaged[1], torch.full((4,), 5.0, dtype=torch.float64))
        assert averaged[2] is None


def test_one_process_settles_the_norms_by_itself(both: list[dict[str, object]]) -> None:
    torch.manual_seed(0)
    _close(both[0]["settled"], list(settle_norms(Generator(TINY), unit_rows(8), 0).buffers()))


def _take_turns(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/turns", rank=rank, world_size=3)
    try:
        with in_turn(), Path(folder, "order").open("a", encoding="utf-8") as order:
            order.write(f"{rank} begins\n")
            order.flush()
            time.sleep(0.1 * (3 - rank))  # the later ones would overtake
            order.write(f"{rank} ends\n")
    finally:
        dist.destroy_process_group()


def test_three_processes_take_turns(tmp_path: Path) -> None:
    mp.spawn(_take_turns, (str(tmp_path),), nprocs=3)
    expected = [f"{rank} {what}" for rank in range(3) for what in ("begins", "ends")]
    assert (tmp_path / "order").read_text("utf-8").splitlines() == expected
    with in_turn():
        pass  # alone, nobody is waited for
