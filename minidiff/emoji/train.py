"""Trains the demo checkpoint: the UNet and its T5 encoder together, on open emoji.

    make train-emoji SECONDS=600              one GPU, or a CPU with a lot of patience
    torchrun --nproc-per-node=2 -m minidiff train-emoji ...      several GPUs

The whole recipe is `recipe.json` beside this file. A run is a folder: `last.pt` holds everything
that is needed to go on after an interruption (weights, averages, optimizers, counters), `log.jsonl`
a line every 50 steps, and `ema-0.9995/`, one such folder for each average, the checkpoint in the
official layout.
"""

import io
import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.tokenizer import Tokenizer
from minidiff.deepfloyd.unet import UNet, UNetConfig
from minidiff.emoji.captions import caption_table, of_phrase, trainable
from minidiff.emoji.data import PACKED, composite, load_emoji
from minidiff.emoji.export import WEIGHTS, export, load_exported
from minidiff.emoji.muon import Muon
from minidiff.emoji.prompts import read_prompts
from minidiff.equations import (
    forward_process,
    gaussian_kl,
    learned_range_log_variance,
    posterior_mean,
    posterior_variance,
    x0_from_eps,
)
from minidiff.errors import UserError
from minidiff.io.devices import number_of, place_in_team
from minidiff.io.files import save_atomically
from minidiff.schedule import cosine_schedule

RECIPE = Path(__file__).with_name("recipe.json")
T = 1000


# --- data on the device ------------------------------------------------------------------------


class EmojiBatches:
    """All pictures (RGBA) and tokenized captions on the device; draws random training batches."""

    def __init__(self, recipe: dict, device: torch.device, seed: int, packed: Path = PACKED):
        images, records = load_emoji(packed)
        prompts = read_prompts()
        kept = trainable(records, prompts)
        records = [records[i] for i in kept]
        table = caption_table(
            records,
            prompts,
            recipe["caption_variants"],
            recipe["seed"],
            recipe.get("phrase_share", 0.0),
        )
        self.images = images[kept].to(device)  # (N, 64, 64, 4) uint8
        self.ids, self.masks = self.tokenize(table, device)  # (N, variants, 77)
        colours = [[rgb for _, rgb in row] for row in table]
        self.colours = torch.tensor(colours, dtype=torch.uint8, device=device)  # (N, variants, 3)
        self.weights = picture_weights(records, recipe.get("phrase_weight", 1.0)).to(device)
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)

    def tokenize(self, table, device) -> tuple[Tensor, Tensor]:
        tokenizer = Tokenizer.from_folder(WEIGHTS)
        texts = sorted({text for row in table for text, _ in row} | {""})
        ids, masks = tokenizer(texts)
        index = {text: i for i, text in enumerate(texts)}
        rows = torch.tensor([[index[text] for text, _ in row] for row in table])
        self.empty = ids[index[""]].to(device), masks[index[""]].to(device)
        return ids[rows].short().to(device), masks[rows].bool().to(device)

    def inputs(self, batch: int, progress: float, recipe: dict) -> tuple[Tensor, ...]:
        """What HybridLoss takes; progress 0..1 changes nothing here."""
        x0, ids, mask = self.draw(batch, recipe["drop_prompt"])
        t = draw_timesteps(self, batch, recipe["noisy_half_from"])
        return x0, t, self.noise(x0), ids, mask

    def draw(self, batch: int, drop_prompt: float) -> tuple[Tensor, Tensor, Tensor]:
        """x0 (B, 3, 64, 64) in [-1, 1], ids (B, 77) and mask (B, 77)."""
        i = torch.multinomial(self.weights, batch, replacement=True, generator=self.generator)
        j = self.randint(self.ids.shape[1], batch)
        x0 = composite(self.images[i], self.colours[i, j])
        return x0, *self.texts(i, j, drop_prompt)

    def texts(self, i: Tensor, j: Tensor, drop_prompt: float) -> tuple[Tensor, Tensor]:
        """ids and mask (B, 77) of the j-th captions of pictures i, some of them emptied."""
        dropped = torch.rand(len(i), device=self.device, generator=self.generator) < drop_prompt
        ids = torch.where(dropped[:, None], self.empty[0], self.ids[i, j].long())
        mask = torch.where(dropped[:, None], self.empty[1].bool(), self.masks[i, j])
        return ids, mask

    def randint(self, high: int, n: int, low: int = 0) -> Tensor:
        return torch.randint(low, high, (n,), device=self.device, generator=self.generator)

    def noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, device=self.device, generator=self.generator)


def picture_weights(records, phrase_weight: float = 1.0) -> Tensor:
    """Chance of each picture: a family of n concepts counts as sqrt(n) of them, not n.

    Otherwise the many variants of "person doing x" take most of the training. phrase_weight: how
    much oftener the phrase's own pictures are drawn, so that those who have a second caption are
    not seen less under their first.
    """
    codes: dict[str, set] = {}
    for r in records:
        codes.setdefault(r.family, set()).add(r.code)
    often = [phrase_weight if of_phrase(r) else 1.0 for r in records]
    return torch.tensor([w * len(codes[r.family]) ** -0.5 for r, w in zip(records, often)])


# --- the loss ----------------------------------------------------------------------------------


class HybridLoss(nn.Module):
    """Noise-prediction error, a coarse-scale term for overall colour, and the variance's KL.

    The KL trains only the variance channels (the mean in it is detached), as in IDDPM section 3.1.
    """

    def __init__(self, unet: UNet, encoder: T5Encoder, coarse_weight: float):
        super().__init__()
        self.unet, self.encoder, self.coarse_weight = unet, encoder, coarse_weight
        abars = cosine_schedule(T).abars
        self.register_buffer("abars", abars.float(), persistent=False)
        previous = torch.cat([torch.ones(1, dtype=torch.float64), abars[:-1]])
        self.register_buffer("abars_prev", previous.float(), persistent=False)

    def forward(self, x0, t, eps, ids, mask) -> dict[str, Tensor]:
        x_t = forward_process(x0, self.abars[t][:, None, None, None], eps)
        return self.losses(x_t, x0, t, eps, self.unet(x_t, t, self.encoder(ids, mask)))

    def losses(self, x_t, x0, t, eps, answer, weight=1.0) -> dict[str, Tensor]:
        """Of the UNet's answer (B, 6, H, W) for x_t; weight (B, 1, 1, 1) is that of each error."""
        abar = self.abars[t][:, None, None, None]
        abar_prev = self.abars_prev[t][:, None, None, None]
        predicted, v = answer.float().chunk(2, dim=1)
        error = predicted - eps
        pixel = (weight * error.square()).mean()
        # 16x16 pixels averaged: white error would weigh as much here as in `pixel`.
        coarse = (weight * F.avg_pool2d(error, 16).square()).mean() * 256
        kl = self.variance_kl(x_t, x0, predicted.detach(), v, abar, abar_prev)
        kl = torch.where((t > 0)[:, None, None, None], kl, 0).mean()
        total = pixel + self.coarse_weight * coarse + kl
        return {"total": total, "pixel": pixel, "coarse": coarse, "kl": kl}

    def variance_kl(self, x_t, x0, eps, v, abar, abar_prev) -> Tensor:
        true_mean = posterior_mean(x_t, x0, abar, abar_prev)
        true_log_var = posterior_variance(abar, abar_prev).clamp(min=1e-20).log()
        mean = posterior_mean(x_t, x0_from_eps(x_t, eps, abar), abar, abar_prev)
        log_var = learned_range_log_variance(v, abar, abar_prev)
        return gaussian_kl(true_mean, true_log_var, mean, log_var)


def draw_timesteps(batches: EmojiBatches, n: int, noisy_from: int) -> Tensor:
    """Half of the batch from all of 0..999, half from the noisier end, where names are decided."""
    half = n // 2
    return torch.cat([batches.randint(T, n - half), batches.randint(T, half, low=noisy_from)])


# --- the run -------------------------------------------------------------------------------------


@dataclass
class Clock:
    """How far the run is: by steps, or by seconds of training when `seconds` is given."""

    steps: int | None
    seconds: float | None
    step: int = 0
    trained: float = 0.0  # seconds, over all sittings
    images: int = 0

    @property
    def progress(self) -> float:
        by_steps = self.step / self.steps if self.steps else 0.0
        by_time = self.trained / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    def rate(self, warmup: int, cooldown: float) -> float:
        """Learning rate factor: up for `warmup` steps, flat, down to 0 over the last `cooldown`."""
        up = min(1.0, (self.step + 1) / warmup)
        return up * min(1.0, (1 - self.progress) / cooldown)


class Run:
    """Model, averages, optimizers and clock of a training run; saved and restored as one."""

    def __init__(self, recipe: dict, device: torch.device, clock: Clock):
        torch.manual_seed(recipe["seed"])
        self.recipe, self.device, self.clock = recipe, device, clock
        self.loss = self.build(recipe)
        self.loss.to(device=device, memory_format=torch.channels_last)
        named = self.loss.named_parameters()
        self.params = {name: p for name, p in named if p.requires_grad}
        self.averages = [
            {k: p.detach().clone() for k, p in self.params.items()} for _ in recipe["ema_decays"]
        ]
        self.optimizers = make_optimizers(self.params, recipe)

    def build(self, recipe: dict) -> HybridLoss:
        """The networks, which become self.unet and self.encoder, in their loss."""
        self.unet = UNet(UNetConfig.from_dict(recipe["unet"]))
        self.encoder = T5Encoder(T5Config.from_dict(recipe["text_encoder"]))
        start_from_zero(self.unet, self.encoder)
        return HybridLoss(self.unet, self.encoder, recipe["coarse_weight"])

    def set_rate(self) -> None:
        factor = self.clock.rate(self.recipe["warmup_steps"], self.recipe["cooldown"])
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group["base_lr"]

    def update(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.params.values(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for decay, average in zip(self.recipe["ema_decays"], self.averages):
            # Early on the average follows quickly, or it would remember the random start.
            decay = min(decay, (1 + self.clock.step) / (10 + self.clock.step))
            torch._foreach_lerp_(list(average.values()), list(self.params.values()), 1 - decay)

    def save(self, path: Path) -> None:
        state = {
            "params": self.params,
            "averages": self.averages,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "clock": [self.clock.step, self.clock.trained, self.clock.images],
        }
        buffer = io.BytesIO()  # torch.save hides what a full disk says
        torch.save(state, buffer)
        save_atomically(path, lambda file: file.write(buffer.getbuffer()))

    def restore(self, path: Path) -> None:
        """Go on from a last.pt. UserError for one that is damaged or of another recipe."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            with torch.no_grad():
                for name, p in self.params.items():
                    p.copy_(state["params"][name])
            for mine, saved in zip(self.averages, state["averages"]):
                for name in mine:
                    mine[name].copy_(saved[name])
            for optimizer, saved in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(saved)
            self.clock.step, self.clock.trained, self.clock.images = state["clock"]
        except Exception as error:  # a damaged archive can fail in any way it likes
            reason = f"{type(error).__name__}: {str(error)[:100]}"
            raise UserError(
                f"{path} is damaged or of another recipe ({reason}); delete it to train anew"
            ) from error

    def start_from(self, folder: Path) -> None:
        """Weights of an exported checkpoint, fresh averages and optimizers: a warm start."""
        try:
            unet, encoder = load_exported(folder)
            self.unet.load_state_dict(unet)
            self.encoder.load_state_dict(encoder)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{folder} is no checkpoint of this recipe ({str(error)[:100]}); START_FROM takes"
                " an exported folder"
            ) from error
        for average in self.averages:
            for name, p in self.params.items():
                average[name].copy_(p.detach())


def start_from_zero(unet: UNet, encoder: T5Encoder | None = None) -> None:
    """Every residual branch begins as nothing, and small embeddings: the run starts calm."""
    for name, module in unet.named_modules():
        if name.endswith(("conv2", "to_out.0", "conv_out")):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    if encoder is None:
        return
    nn.init.normal_(encoder.shared.weight, std=1.0)
    for name, p in encoder.encoder.named_parameters():
        if name.endswith((".o.weight", ".wo.weight")):
            nn.init.zeros_(p)
        elif name.endswith(".q.weight"):  # T5 has no 1/sqrt(d) in attention: it sits here
            p.data.mul_(encoder.config.d_kv**-0.5)


def make_optimizers(params: dict[str, nn.Parameter], recipe: dict) -> list:
    """Muon for the weights of layers, AdamW for embeddings, ends, norms and biases."""

    def is_matrix(name: str, p: Tensor) -> bool:
        ends = ("shared", "relative_attention_bias", "positional_embedding", "conv_in", "conv_out")
        return p.ndim >= 2 and not any(end in name for end in ends)

    matrices = [p for name, p in params.items() if is_matrix(name, p)]
    rest = [p for name, p in params.items() if not is_matrix(name, p)]
    muon = Muon(matrices, lr=recipe["muon_lr"], weight_decay=recipe["weight_decay"])
    adam = torch.optim.AdamW(rest, lr=recipe["adam_lr"], betas=(0.9, 0.99), weight_decay=0.0)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return [muon, adam]


def train(
    run_folder: str | Path,
    *,
    stage: int = 1,
    steps: int | None = None,
    seconds: float | None = None,
    batch: int | None = None,
    start_from: str | Path | None = None,
    changes: dict | None = None,
    compile_model: bool = True,
    save_every: float = 120.0,
) -> Path:
    """Train until `steps` or `seconds` of training are done; returns the exported folder.

    run_folder  continues its last.pt when there is one
    stage       1 draws at 64 pixels, 2 enlarges to 256: train_upscaler.py
    batch       pictures per step and GPU; default: the recipe's
    start_from  an exported checkpoint to start from instead of random weights
    changes     recipe entries to override, e.g. {"muon_lr": 0.001}
    """
    check_length(steps, seconds, batch)
    recipe_file, run_of, batches_of = STAGES[stage]()
    recipe = {**json.loads(recipe_file.read_text(encoding="utf-8")), **(changes or {})}
    rank, world, device = start_distributed()
    torch.backends.cudnn.benchmark = True
    run_folder = Path(run_folder)
    run_folder.mkdir(parents=True, exist_ok=True)
    batch = recipe["batch"] if batch is None else batch

    run = run_of(recipe, device, Clock(steps, seconds))
    if (run_folder / "last.pt").exists():
        run.restore(run_folder / "last.pt")
    elif start_from is not None:
        run.start_from(Path(start_from))
    # The seed moves on with the step: a resumed run draws new batches, not the first ones again.
    seed = recipe["seed"] + 1000 * rank + 1_000_000 * run.clock.step
    batches = batches_of(recipe, device, seed)
    loop(run, batches, batch, run_folder, (rank, world), compile_model, save_every)
    if rank == 0:
        run.save(run_folder / "last.pt")
        for decay, average in zip(recipe["ema_decays"], run.averages):
            export(average, recipe, run_folder / f"ema-{decay}")
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()
    return run_folder / f"ema-{recipe['ema_decays'][0]}"


def stage_1() -> tuple:
    return RECIPE, Run, EmojiBatches


def stage_2() -> tuple:
    from minidiff.emoji import train_upscaler  # it is built on this module

    return train_upscaler.RECIPE_2, train_upscaler.UpscalerRun, train_upscaler.CropBatches


STAGES = {1: stage_1, 2: stage_2}


def check_length(steps: int | None, seconds: float | None, batch: int | None) -> None:
    """UserError unless the run has an end, and its steps have pictures."""
    if (steps is None) == (seconds is None):
        raise UserError("say how long to train: STEPS=20000 or SECONDS=600, one of the two")
    if (steps is not None and steps < 1) or (seconds is not None and not 0 < seconds < math.inf):
        raise UserError(f"train for at least 1 step or some seconds, not {steps or seconds}")
    if batch is not None and batch < 1:
        raise UserError(f"a batch has at least 1 picture, not {batch}")


def loop(run, batches, batch, run_folder, place, compile_model, save_every) -> None:
    """The training loop itself; logs and saves from rank 0."""
    rank, world = place
    recipe, clock, device = run.recipe, run.clock, run.device
    loss_fn = (
        torch.compile(run.loss, dynamic=False)
        if compile_model and device.type == "cuda"
        else run.loss
    )
    if world > 1:
        # One graph per step: the gradients, 74 MB, are summed after the whole backward pass.
        torch._dynamo.config.optimize_ddp = False
        loss_fn = DistributedDataParallel(loss_fn, broadcast_buffers=False)
    half = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    sums, before, saved = None, time.perf_counter(), time.perf_counter()
    while not finished(clock, device, world):
        run.set_rate()
        inputs = batches.inputs(batch, clock.progress, recipe)
        with half:
            losses = loss_fn(*inputs)
        losses["total"].backward()
        run.update()
        clock.step, clock.images = clock.step + 1, clock.images + batch * world
        row = torch.stack([v.detach() for v in losses.values()])
        sums = row if sums is None else sums + row
        if clock.step % 50 == 0 or clock.step < 3:
            means = (sums / (50 if clock.step % 50 == 0 else 1)).tolist()  # waits for the device
            now = time.perf_counter()
            # The first steps compile; they are logged but do not count as training time.
            clock.trained += now - before if clock.step > 2 else 0.0
            if rank == 0:
                report(run_folder, clock, dict(zip(losses, means)), now - before)
            sums, before = None, now
            if rank == 0 and now - saved > save_every:
                run.save(run_folder / "last.pt")
                saved = now


def finished(clock: Clock, device: torch.device, world: int) -> bool:
    """Whether to stop; rank 0's clock decides for all, so that all stop after the same step."""
    if clock.step % 50 or world == 1:
        return clock.progress >= 1
    done = torch.tensor([clock.trained, float(clock.progress >= 1)], device=device)
    dist.broadcast(done, 0)
    clock.trained = done[0].item()
    return bool(done[1].item())


def report(folder: Path, clock: Clock, means: dict, seconds: float) -> None:
    line = {"step": clock.step, "images": clock.images, "seconds": round(clock.trained, 1)}
    line |= {k: round(v, 5) for k, v in means.items()} | {"took": round(seconds, 2)}
    with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    print(line, flush=True)


def start_distributed() -> tuple[int, int, torch.device]:
    """(rank, world size, device); joins the process group when started by torchrun."""
    if place_in_team()[1] == 1:
        return 0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    local = number_of("LOCAL_RANK")
    torch.cuda.set_device(local)
    dist.init_process_group("nccl")
    return dist.get_rank(), dist.get_world_size(), torch.device("cuda", local)
