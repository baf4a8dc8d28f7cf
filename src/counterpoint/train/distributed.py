"""Data-parallel training under torchrun: this process's rank, and sums over all processes.

    torchrun --nproc-per-node 2 -m counterpoint.cli.main train RECIPE --num-microbatches 2

Every process holds the whole model, computes the gradients of its microbatches and sums them with the others,
so all processes take the same step. Order and noise depend on microbatches, not on processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from counterpoint.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among all processes of a run."""

    rank: int = 0
    """Number of this process, from 0; rank 0 speaks and saves."""
    size: int = 1
    """Number of processes."""
    device: torch.device
    """Where this process computes."""

    def own_microbatches(self, num_microbatches: int) -> range:
        """Return which microbatches of a batch this process takes.

        Raises:
            ConfigError: the microbatches do not divide among the processes.
        """
        if num_microbatches % self.size:
            raise ConfigError(
                f"num_microbatches: expected a multiple of {self.size}, the number of processes, got {num_microbatches}"
            )
        share = num_microbatches // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sum numbers over all processes, in float64; every process gets the same."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total]

    @torch.no_grad()
    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum gradients over all processes in one message.

        A parameter that has a gradient in any process gets one in all, so that all take the same step; a parameter
        without gradients stays without.
        """
        if self.size == 1:
            return
        present = [float(parameter.grad is not None) for parameter in parameters]
        flat = [
            parameter.grad if parameter.grad is not None else torch.zeros_like(parameter) for parameter in parameters
        ]
        message = torch.cat([*(gradient.flatten() for gradient in flat), flat[0].new_tensor(present)])
        dist.all_reduce(message)
        sizes = [parameter.numel() for parameter in parameters]
        *gradients, owners = torch.split(message, [*sizes, len(sizes)])
        for parameter, gradient, owner in zip(parameters, gradients, owners.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter) if owner else None

    def same_weights(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the tensors of rank 0."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Yield this process's place, joining the others where torchrun started it; leave them at the end.

    Raises:
        ConfigError: `device` is cuda and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ConfigError("device: expected an accelerator for 'cuda', found none; use 'auto' or 'cpu'")
    kind = "cuda" if device == "cuda" or (device == "auto" and has_cuda) else "cpu"
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=torch.device(kind))
        return
    place = torch.device(kind, int(os.environ["LOCAL_RANK"])) if kind == "cuda" else torch.device("cpu")
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield World(rank=dist.get_rank(), size=size, device=place)
    finally:
        dist.destroy_process_group()
