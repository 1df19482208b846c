"""One model in training, step by step, and how a GPU is kept busy with it.

On a CPU this is the plain loop one expects. On a GPU the same step is made fast without changing
what is computed: the pictures lie on the device as bytes, noise is drawn there, convolutions run in
bfloat16 with their statistics in fp32 (half.py), and a whole step (batch, noise, forward, backward,
Adam) is recorded once as a CUDA graph and then replayed. Nothing waits for the GPU inside an epoch:
losses stay there until its end.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace

import torch
import torch.nn.functional as F
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
    noise_like,
    to_device,
)
from minidiff.mnist.flow import class_flow_example, flow_example

WARM_UP = 3  # steps that run one by one before a step is recorded as a CUDA graph
SAVE_EVERY = 100  # steps between two checkpoints where they are slow, that is, on a CPU
TENTHS = 10
# UNets are called with (x,), (x, t) or (x, c, t, mask): the place of t
TIME_INPUT = {2: 1, 4: 2}


def squared_errors(unet: Callable[..., Tensor], example: Example) -> Tensor:
    """The loss of each picture, (N,): mnist.ddpm.squared_error before the mean over the batch."""
    inputs, target = example
    return F.mse_loss(unet(*inputs).float(), target, reduction="none").mean(dim=(1, 2, 3))


class Trainer:
    """One model in training: its weights, optimizer, generator and losses so far.

    A stage is what lies between two decays of the learning rate: an epoch, or, for a recipe with
    `whole_decay` that runs for other than its own number of epochs, as large a share of the run.
    """

    def __init__(
        self,
        recipe: Recipe,
        digits: Digits,
        seed: int,
        device: str,
        mode: str,
        epochs: float | None = None,
    ):
        self.recipe, self.seed, self.mode = recipe, seed, mode
        self.device = torch.device(device)
        self.digits = digits.to(self.device)
        self.per_epoch = -(-len(digits) // recipe.batch)  # steps
        stretch = epochs / recipe.epochs if recipe.whole_decay and epochs else 1
        self.stage_steps = max(1, round(self.per_epoch * stretch))
        self.schedule = to_device(ddpm_schedule(), self.device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.model = fresh_model(recipe, seed).to(self.device)
        if mode == "fast":
            self.model = self.model.to(memory_format=torch.channels_last)
        self.half = None
        if mode == "fast":
            from minidiff.digits.half import HalfPrecision  # here: Triton costs a start 0.1 s

            self.half = HalfPrecision(self.model)
        self.optimizer = self.make_adam()
        self.scheduler = ExponentialLR(self.optimizer, recipe.lr_decay)
        self.run_step = GraphedSteps(self) if mode == "fast" else self.step
        self.order = torch.empty(0, dtype=torch.int64, device=self.device)
        self.epoch, self.losses, self.epoch_seconds, self.seconds = 0, [], [], 0.0
        # sums of the loss, and pictures, per tenth of t in the stage under way; means of stages
        self.by_tenth = torch.zeros(2, TENTHS, device=self.device)
        self.tenths: list[list[float]] = []

    def make_adam(self) -> torch.optim.Adam:
        """Adam; for a CUDA graph, its learning rate and step count are tensors on the device."""
        graphed = self.mode == "fast"
        lr = self.learning_rate(self.recipe.lr)
        parameters = [self.half.flat] if self.half else self.model.parameters()
        return torch.optim.Adam(parameters, lr, fused=graphed or None, capturable=graphed)

    def learning_rate(self, lr: float) -> float | Tensor:
        return torch.tensor(lr, device=self.device) if self.mode == "fast" else lr

    def example(self, rows: Tensor) -> Example:
        """The corrupted pictures of a batch, made on the device."""
        return self.corrupt(to_unit(self.digits.images[rows]), self.digits.labels[rows])

    def corrupt(self, x: Tensor, c: Tensor) -> Example:
        """What the model is trained on for pictures x (B, 1, 28, 28) in [0, 1] of digits c."""
        recipe, generator = self.recipe, self.generator
        examples = {
            "denoiser": lambda: denoiser_example(x, recipe.sigma, generator),
            "pure-noise": lambda: ((noise_like(x, generator),), x),
            "time": lambda: ddpm_example(self.schedule, x, generator),
            "class": lambda: class_ddpm_example(self.schedule, x, c, recipe.p_uncond, generator),
            "flow-time": lambda: flow_example(x, generator),
            "flow-class": lambda: class_flow_example(x, c, recipe.p_uncond, generator),
        }
        return examples[recipe.kind]()

    def step(self, rows: Tensor) -> Tensor:
        """One step of Adam on the pictures in `rows` (B,), int64; returns the loss, unread."""
        example = self.example(rows)
        errors = squared_errors(self.half or self.model, example)
        loss = errors.mean()
        if self.half:
            loss.backward()
            self.half.collect()
        else:
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        self.optimizer.step()
        self.note_tenths(example, errors.detach())
        return loss.detach()

    def note_tenths(self, example: Example, errors: Tensor) -> None:
        """Add the losses of a batch, (B,), to the tenths of t that its pictures fell in."""
        inputs, _ = example
        if place := TIME_INPUT.get(len(inputs)):
            tenth = (inputs[place] * TENTHS).long().clamp(max=TENTHS - 1)
            fell = tenth[:, None] == torch.arange(TENTHS, device=errors.device)  # (B, TENTHS)
            self.by_tenth += torch.stack([errors, torch.ones_like(errors)]) @ fell.float()

    def run_epoch(
        self, progress: Callable[[int], object], save: Callable[[], object] | None = None
    ) -> float:
        """The stage that is under way, to its end; returns its mean loss.

        save: called every SAVE_EVERY steps within the stage, if given.
        """
        while left := (self.epoch + 1) * self.stage_steps - len(self.losses):
            self.run_steps(min(left, SAVE_EVERY) if save else left, progress)
            if save and left > SAVE_EVERY:
                save()
        self.scheduler.step()
        self.epoch += 1
        self.epoch_seconds.append(self.seconds)
        self.seconds = 0.0
        if self.by_tenth.any():
            self.tenths.append((self.by_tenth[0] / self.by_tenth[1]).tolist())
            self.by_tenth.zero_()
        return sum(self.losses[-self.stage_steps :]) / self.stage_steps

    def run_steps(self, count: int, progress: Callable[[int], object]) -> None:
        """The next `count` steps. Nothing waits for a GPU until the last of them."""
        started = time.perf_counter()
        self.model.train()
        losses = torch.empty(count, device=self.device)
        for i in range(count):
            losses[i] = self.run_step(self.next_rows(len(self.losses) + i))
            progress(1)
        self.losses += losses.tolist()
        self.seconds += time.perf_counter() - started

    def next_rows(self, step: int) -> Tensor:
        """The pictures of a step: every one once in an epoch, in an order that is drawn anew."""
        place = step % self.per_epoch
        if place == 0:
            self.order = torch.randperm(
                len(self.digits), device=self.device, generator=self.generator
            )
        return self.order[place * self.recipe.batch :][: self.recipe.batch]

    def epochs_done(self) -> float:
        """How often every picture was seen: a whole number after a whole number of epochs."""
        done = len(self.losses) / self.per_epoch
        return int(done) if done == int(done) else round(done, 3)

    def state(self) -> dict:
        return {
            "config": self.config(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            **{name: getattr(self, name) for name in self.PLAIN},
        }

    # what a checkpoint holds as it is
    PLAIN = ("epoch", "losses", "epoch_seconds", "seconds", "order", "by_tenth", "tenths")

    def config(self) -> dict:
        """What must be equal for a run to be continued. The number of epochs may grow."""
        recipe = asdict(replace(self.recipe, epochs=0))
        facts = {"seed": self.seed, "device": self.device.type, "mode": self.mode}
        return {**recipe, **facts, "pictures": len(self.digits), "stage_steps": self.stage_steps}

    def load_state(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(float(group["lr"]))
        self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"])
        self.by_tenth.copy_(state["by_tenth"])  # in place: a CUDA graph knows where it lies
        self.order = state["order"].to(self.device)
        for name in self.PLAIN:
            if not isinstance(state[name], Tensor):
                setattr(self, name, state[name])

    def setup_seconds(self) -> float:
        """Seconds that compiling and recording took, which are part of epoch_seconds."""
        return self.run_step.seconds if self.mode == "fast" else 0.0


class GraphedSteps:
    """Calls a trainer's step; after a few calls with a batch size, by replaying a CUDA graph.

    The calls before that are real steps too: they compile kernels, choose cuDNN's algorithms and
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
