"""The UNet as code in the sandbox sees it: every call goes to the page's own process and back.

So the student's process needs no weights, no GPU and little time, whatever model is played with;
its limits count the student's own code. What crosses is numbers and JSON: nothing that the
sandbox sends can make the page's process run anything.

    in the sandbox   Link.ask(x, t, rows) -> (B, 6, H, W)
    on the page      Answerer.answer(message) -> bytes

Prompts have been encoded on the page before: here a Cond is only the numbers of their rows.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from minidiff.deepfloyd.unet import Cond
from minidiff.errors import UserError
from minidiff.studio import Studio

MOST = 1 << 22  # numbers in one message: 340 pictures


class Link:
    """The sandbox's end."""

    def __init__(self, connection: Connection):
        self.connection = connection

    def tell(self, kind: str, x: Tensor | None = None, **told) -> None:
        """A message, with pictures if there are any."""
        shape = None if x is None else list(x.shape)
        self.connection.send_bytes(json.dumps({"kind": kind, "shape": shape, **told}).encode())
        if x is not None:
            self.connection.send_bytes(x.detach().float().contiguous().numpy().tobytes())

    def ask(self, x: Tensor, t: int | Tensor, rows: Tensor) -> Tensor:
        """What the UNet says about pictures at t, each with the prompt of its row."""
        times = torch.as_tensor(t).reshape(-1).expand(len(x)).tolist()
        self.tell("ask", x, t=times, rows=rows.tolist())
        answer = self.connection.recv_bytes()
        numbers = torch.frombuffer(bytearray(answer), dtype=torch.float32)
        return numbers.reshape(len(x), -1, *x.shape[2:])


class RemoteUNet:
    """Stands in for the UNet in a studio."""

    dtype = torch.float32

    def __init__(self, link: Link):
        self.link = link

    def prepare(self, states: Tensor) -> Cond:
        return Cond(states, (), ())

    def __call__(self, x: Tensor, t: int | Tensor, cond: Cond) -> Tensor:
        if len(cond) != len(x):
            raise UserError(f"{len(x)} pictures need as many prompts; got {len(cond)}")
        return self.link.ask(x, t, cond.pooled)


class RemoteText:
    """Stands in for the text encoder: a prompt's state is its row number."""

    def __init__(self, prompts: Sequence[str]):
        self.rows = {prompt: row for row, prompt in enumerate(prompts)}

    def check(self, prompts: Sequence[str]) -> None:
        for prompt in prompts:
            if prompt not in self.rows:
                raise UserError(f"the prompt {prompt!r} was not made ready for this run")

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        return torch.tensor([self.rows[prompt] for prompt in prompts])

    def free(self) -> None:
        """There is nothing to let go."""


def remote_studio(studio: Studio, link: Link, prompts: Sequence[str]) -> Studio:
    """A studio of the same checkpoint that asks the page for every estimate."""
    model = replace(studio.model, encode=RemoteText(prompts), device=torch.device("cpu"))
    vars(model)["unet"] = vars(model)["fast_unet"] = RemoteUNet(link)
    return Studio(model)


class Answerer:
    """The page's end: the UNet, and these prompts ready for it."""

    def __init__(self, studio: Studio, prompts: Sequence[str]):
        self.studio = studio
        self.cond = studio.cond(prompts)

    @torch.no_grad()
    def answer(self, message: dict, pictures: Tensor) -> bytes:
        model, rows = self.studio.model, message["rows"]
        if any(not 0 <= row < len(self.cond) for row in rows):
            raise UserError("the step asked about a prompt that there is none of")
        t = torch.tensor(message["t"], device=model.device)
        x = pictures.to(model.device, model.unet.dtype)
        out = model.fast_unet(x, t, self.cond.take(rows))
        return out.float().cpu().contiguous().numpy().tobytes()


def receive(connection: Connection) -> tuple[dict, Tensor | None]:
    """A message of the sandbox and its pictures. UserError for what is none."""
    try:
        message = json.loads(connection.recv_bytes(1 << 16))
        shape = message["shape"]
        if shape is None:
            return message, None
        data = bytearray(connection.recv_bytes(4 * MOST))
        return message, torch.frombuffer(data, dtype=torch.float32).reshape(shape)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"the sandbox said something strange ({type(error).__name__})") from error
