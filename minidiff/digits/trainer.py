"""One model in training, step by step, and how a GPU is kept busy with it.

On a CPU this is the plain loop one expects. On a GPU the same step is made fast without changing
what is computed: the pictures lie on the device as bytes, noise is drawn there, convolutions run in
bfloat16 with their statistics in fp32, the UNet is compiled, and a whole step (batch, noise,
forward, backward, Adam) is recorded once as a CUDA graph and then replayed. Nothing waits for the
GPU inside an epoch: losses stay there until its end.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR

from minidiff.mnist.checkpoint import Recipe
from minidiff.mnist.data import Digits, to_unit
from minidiff.mnist.ddpm import (
    Example,
    class_ddpm_example,
    ddpm_example,
    ddpm_schedule,
    denoiser_example,
    squared_error,
    to_device,
)

WARM_UP = 3  # steps that run one by one before a step is recorded as a CUDA graph


class Trainer:
    """One model in training: its weights, optimizer, generator and losses so far."""

    def __init__(self, recipe: Recipe, digits: Digits, seed: int, device: str, mode: str):
        self.recipe, self.seed, self.mode = recipe, seed, mode
        self.device = torch.device(device)
        self.digits = digits.to(self.device)
        self.schedule = to_device(ddpm_schedule(), self.device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.model = fresh_model(recipe, seed).to(self.device)
        if mode == "fast":
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimizer = self.make_adam()
        self.scheduler = ExponentialLR(self.optimizer, recipe.lr_decay)
        self.error = (
            torch.compile(squared_error, dynamic=False) if mode == "fast" else squared_error
        )
        self.run_step = GraphedSteps(self) if mode == "fast" else self.step
        self.epoch, self.losses, self.epoch_seconds = 0, [], []

    def make_adam(self) -> torch.optim.Adam:
        """Adam; for a CUDA graph, its learning rate and step count are tensors on the device."""
        graphed = self.mode == "fast"
        lr = self.learning_rate(self.recipe.lr)
        parameters = self.model.parameters()
        return torch.optim.Adam(parameters, lr, fused=graphed or None, capturable=graphed)

    def learning_rate(self, lr: float) -> float | Tensor:
        return torch.tensor(lr, device=self.device) if self.mode == "fast" else lr

    def example(self, rows: Tensor) -> Example:
        """The corrupted pictures of a batch, made on the device."""
        x, c = to_unit(self.digits.images[rows]), self.digits.labels[rows]
        if self.recipe.name == "denoiser":
            return denoiser_example(x, self.recipe.sigma, self.generator)
        if self.recipe.name == "time":
            return ddpm_example(self.schedule, x, self.generator)
        return class_ddpm_example(self.schedule, x, c, self.recipe.p_uncond, self.generator)

    def step(self, rows: Tensor) -> Tensor:
        """One step of Adam on the pictures in `rows` (B,), int64; returns the loss, unread."""
        self.optimizer.zero_grad(set_to_none=True)
        example = self.example(rows)
        whole = len(rows) == self.recipe.batch
        error = (
            self.error if whole else squared_error
        )  # the last batch is short: not worth compiling
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mode == "fast"):
            loss = error(self.model, example)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def run_epoch(self, progress: Callable[[int], object]) -> float:
        """Every picture once, in a new order; returns the mean loss."""
        started = time.perf_counter()
        self.model.train()
        order = torch.randperm(len(self.digits), device=self.device, generator=self.generator)
        batches = order.split(self.recipe.batch)
        losses = torch.empty(len(batches), device=self.device)
        for i, rows in enumerate(batches):
            losses[i] = self.run_step(rows)
            progress(1)
        self.scheduler.step()
        self.epoch += 1
        self.losses += losses.tolist()
        self.epoch_seconds.append(time.perf_counter() - started)
        return float(losses.mean())

    def state(self) -> dict:
        return {
            "config": self.config(),
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            "losses": self.losses,
            "epoch_seconds": self.epoch_seconds,
        }

    def config(self) -> dict:
        """What must be equal for a run to be continued. The number of epochs may grow."""
        recipe = asdict(replace(self.recipe, epochs=0))
        facts = {"seed": self.seed, "device": self.device.type, "mode": self.mode}
        return {**recipe, **facts, "pictures": len(self.digits)}

    def load_state(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(float(group["lr"]))
        self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"])
        self.epoch, self.losses = state["epoch"], state["losses"]
        self.epoch_seconds = state["epoch_seconds"]

    def setup_seconds(self) -> float:
        """Seconds that compiling and recording took, which are part of epoch_seconds."""
        return self.run_step.seconds if self.mode == "fast" else 0.0


class GraphedSteps:
    """Calls a trainer's step; after a few calls with a batch size, by replaying a CUDA graph.

    The calls before that are real steps too: they compile the UNet, choose cuDNN's algorithms and
    allocate what Adam needs, none of which may happen while a graph is recorded.
    """

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}
        self.calls = Counter()
        self.seconds = 0.0

    def __call__(self, rows: Tensor) -> Tensor:
        size = len(rows)
        if size not in self.graphs:
            return self.warm_up(rows)
        graph, graph_rows, loss = self.graphs[size]
        graph_rows.copy_(rows)
        graph.replay()
        return loss

    def warm_up(self, rows: Tensor) -> Tensor:
        """A step in the ordinary way, on a stream of its own as recording asks for."""
        started = time.perf_counter()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loss = self.trainer.step(rows)
        torch.cuda.current_stream().wait_stream(stream)
        self.calls[len(rows)] += 1
        if self.calls[len(rows)] == WARM_UP:
            self.graphs[len(rows)] = self.record(rows)
        torch.cuda.synchronize()
        self.seconds += time.perf_counter() - started
        return loss

    def record(self, rows: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        """Record a step without running it: the graph, its input and its output."""
        graph, rows = torch.cuda.CUDAGraph(), rows.clone()
        graph.register_generator_state(self.trainer.generator)
        with torch.cuda.graph(graph):
            loss = self.trainer.step(rows)
        return graph, rows, loss


def fresh_model(recipe: Recipe, seed: int) -> nn.Module:
    """The UNet with the first weights of this seed, the same on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return recipe.build()
