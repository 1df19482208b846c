"""Part B's UNets: the blocks, and how time and class enter."""

import torch
from torch import nn

from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close, equal, true
from minidiff.grade.inputs import fill, values

FILE = "minidiff/mnist/unet.py"
D = 4

# --- blocks -------------------------------------------------------------------------------------

blocks = Exercise(
    "mnist_blocks",
    "B.1.1",
    "The course's blocks, given by their channels: Conv 3x3, DownConv 3x3 with stride 2, UpConv "
    "4x4 with stride 2, Unflatten 7x7 with stride 7, each followed by BatchNorm and GELU; Flatten "
    "averages 7x7 pixels, then GELU; FCBlock is linear, GELU, linear, with (N, out, 1, 1) as its "
    "result; ConvBlock, DownBlock and UpBlock put two or three Convs in a row. Convolutions have a "
    "bias.",
    [
        Part(FILE, "Conv", ("__init__",)),
        Part(FILE, "DownConv", ("__init__",)),
        Part(FILE, "UpConv", ("__init__",)),
        Part(FILE, "Flatten", ("__init__",)),
        Part(FILE, "Unflatten", ("__init__",)),
        Part(FILE, "ConvBlock", ("__init__",)),
        Part(FILE, "DownBlock", ("__init__",)),
        Part(FILE, "UpBlock", ("__init__",)),
        Part(FILE, "FCBlock", ("__init__",)),
    ],
)

SHAPES = {  # arguments, input, output
    "Conv": ((3, 5), (2, 3, 14, 14), (2, 5, 14, 14)),
    "DownConv": ((3, 5), (2, 3, 14, 14), (2, 5, 7, 7)),
    "UpConv": ((3, 5), (2, 3, 7, 7), (2, 5, 14, 14)),
    "Flatten": ((), (2, 3, 7, 7), (2, 3, 1, 1)),
    "Unflatten": ((3,), (2, 3, 1, 1), (2, 3, 7, 7)),
    "ConvBlock": ((3, 5), (2, 3, 14, 14), (2, 5, 14, 14)),
    "DownBlock": ((3, 5), (2, 3, 14, 14), (2, 5, 7, 7)),
    "UpBlock": ((3, 5), (2, 3, 7, 7), (2, 5, 14, 14)),
    "FCBlock": ((3, 5), (2, 3), (2, 5, 1, 1)),
}
PARAMETERS = {  # of the same blocks: kernels, biases, and the two of each BatchNorm
    "Conv": 3 * 5 * 9 + 5 + 10,
    "DownConv": 3 * 5 * 9 + 5 + 10,
    "UpConv": 3 * 5 * 16 + 5 + 10,
    "Flatten": 0,
    "Unflatten": 3 * 3 * 49 + 3 + 6,
    "ConvBlock": (3 * 9 * 5 + 15) + (5 * 9 * 5 + 15),
    "DownBlock": (3 * 9 * 5 + 15) + 2 * (5 * 9 * 5 + 15),
    "UpBlock": (3 * 16 * 5 + 15) + 2 * (5 * 9 * 5 + 15),
    "FCBlock": (3 * 5 + 5) + (5 * 5 + 5),
}


def run_block(code, name: str) -> torch.Tensor:
    arguments, shape, _ = SHAPES[name]
    return fill(getattr(code, name)(*arguments))(values(f"input of {name}", *shape))


@blocks.check("shapes")
def blocks_shapes(code):
    for name, (_, before, after) in SHAPES.items():
        got = run_block(code, name)
        equal(tuple(got.shape), after, f"the shape that {name} makes of {before}")


@blocks.check("numbers of parameters")
def blocks_parameters(code):
    for name, (arguments, _, _) in SHAPES.items():
        got = sum(p.numel() for p in getattr(code, name)(*arguments).parameters())
        equal(got, PARAMETERS[name], f"the number of parameters of {name}{arguments}")


@blocks.check("Flatten averages, then GELU")
def blocks_flatten(code):
    x = values("x", 2, 3, 7, 7) + 0.5
    close(code.Flatten()(x), nn.functional.gelu(x.mean((2, 3), keepdim=True)), "the result")


@blocks.check("FCBlock has no activation at its end")
def blocks_fc(code):
    got = fill(code.FCBlock(1, 50))(torch.tensor([[-4.0], [4.0]]).double())
    true(
        float(got.detach().min()) < -0.2, "no output of FCBlock is below -0.2: a GELU cuts them off"
    )


def block_trial(name: str):
    """The trial of one block: other channels, in training (batch statistics) and in eval mode."""

    def trial(code, draw):
        a, b = draw.whole("channels_in", 1, 5), draw.whole("channels_out", 2, 6)
        arguments, shape, _ = SHAPES[name]
        own = {0: (), 1: (a,), 2: (a, b)}[len(arguments)]
        module = fill(getattr(code, name)(*own)).train(draw.choice("training", (True, False)))
        x = draw.tensor(name, 3, a, *shape[2:], dtype=torch.float64) * 1.5
        return {f"the result of {name}{own}": module(x)}

    return trial


for block in SHAPES:
    blocks.trial(block_trial(block))


# --- conditioning -------------------------------------------------------------------------------

conditioning = Exercise(
    "mnist_conditioning",
    "B.2.1",
    "The forward passes of the time- and class-conditioned UNets. t (N,) is in [0, 1]; fc1_t(t) "
    "is added to u, fc2_t(t) to up1. c (N,) are digits, made one-hot vectors; fc1_c(c) multiplies "
    "u, fc2_c(c) multiplies up1. mask (N,) is 0 where the whole vector is to be zeroed, None keeps "
    "all. self.encode(x) and self.decode(up1, x2, x1) are there.",
    [
        Part(FILE, "TimeConditionalUNet", ("forward",)),
        Part(FILE, "ClassConditionalUNet", ("forward",)),
    ],
)

X, T = values("x", 3, 1, 28, 28), torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
C = torch.tensor([7, 0, 3])


def class_unet(code):
    return fill(code.ClassConditionalUNet(num_hiddens=D))


def due_forward(model, c1=1.0, c2=1.0):
    """The network written out from its blocks; c1 and c2 multiply."""
    x1, x2, x3, u = model.encode(X)
    t = T[:, None]
    u = c1 * u + model.fc1_t(t)
    up1 = c2 * model.up1(torch.cat([u, x3], 1)) + model.fc2_t(t)
    return model.decode(up1, x2, x1)


@conditioning.check("a masked class is a vector of zeros")
def conditioning_mask(code):
    model = class_unet(code)
    zeros = torch.zeros(3, 10, dtype=torch.float64)
    due = due_forward(model, model.fc1_c(zeros), model.fc2_c(zeros))
    close(model(X, C, T, torch.zeros(3)), due, "with mask 0, the answer")
    close(model(X, C, T, torch.ones(3)), model(X, C, T), "with mask 1, the answer")
    mixed = model(X, C, T, torch.tensor([1, 0, 1]))
    close(mixed[1], due[1], "the answer for the masked one of three")
    close(mixed[0], model(X, C, T)[0], "the answer for an unmasked one of three")


@conditioning.trial
def time_trial(code, draw):
    model = fill(code.TimeConditionalUNet(num_hiddens=draw.choice("num_hiddens", (4, 3))))
    x, t = draw.tensor("x", draw.batch, 1, 28, 28), draw.tensor("t", draw.batch).abs().clamp(0, 1)
    model = model.to(x.dtype)
    return {"the answer": model(x, t)}


@conditioning.trial
def class_trial(code, draw):
    """Other numbers of classes; masks of 0 and 1, bool or numbers, or none."""
    classes, n = draw.choice("num_classes", (10, 4)), draw.batch
    model = fill(code.ClassConditionalUNet(num_classes=classes, num_hiddens=4))
    x, t = draw.tensor("x", n, 1, 28, 28), draw.tensor("t", n).abs().clamp(0, 1)
    c = torch.tensor(draw.wholes("digits", n, 0, classes - 1))
    mask = draw.tensor("mask", n) > 0
    mask = draw.choice("mask", (None, mask, mask.long(), mask.float()))
    return {"the answer": model.to(x.dtype)(x, c, t, mask)}
