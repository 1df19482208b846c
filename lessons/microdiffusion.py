"""A diffusion model in one file: the standard library and numpy, nothing else.

    python lessons/microdiffusion.py points     train on a spiral in the plane, draw new points
    python lessons/microdiffusion.py digit 7    draw a seven with the weights in weights/mnist

The package says the same with more care, and a test holds the two against each other.
"""

import json
import math
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "mnist" / "class.safetensors"

# --- the equations (chapters 02, 04, 05, 07) ------------------------------------------------------


def linear_abars(steps=300, first=1e-4, last=0.02):
    """abar[t], the share of the picture's variance left at t: Part B's schedule."""
    return np.cumprod(1 - np.linspace(first, last, steps))


def cosine_abars(steps=300):
    """The schedule that ends in pure noise, for points in the plane."""
    angle = (np.arange(steps + 1) / steps + 0.008) / 1.008 * math.pi / 2
    betas = np.minimum(1 - np.cos(angle[1:]) ** 2 / np.cos(angle[:-1]) ** 2, 0.999)
    return np.cumprod(1 - betas)


def x0_from_eps(x_t, eps, abar):
    return (x_t - np.sqrt(1 - abar) * eps) / np.sqrt(abar)


def posterior_mean(x_t, x0, abar, before):
    alpha = abar / before
    from_x0 = np.sqrt(before) * (1 - alpha) / (1 - abar)
    return from_x0 * x0 + np.sqrt(alpha) * (1 - before) / (1 - abar) * x_t


def walk(estimate, abars, draw):
    """From noise to pictures, every timestep. estimate(x, t) -> eps; draw() -> fresh noise."""
    x = draw()
    for t in reversed(range(len(abars))):
        before = abars[t - 1] if t else 1.0
        x0 = x0_from_eps(x, estimate(x, t), abars[t])
        x = posterior_mean(x, x0, abars[t], before)
        if t:  # the last step ends at the clean picture and adds nothing
            x = x + math.sqrt(1 - abars[t] / before) * draw()
    return x


# --- a network for points, with its gradient (chapters 19, 29) ------------------------------------


class PointNet:
    """(N, 2) points and timesteps to the noise in them: four layers, SiLU between."""

    def __init__(self, steps, width, rng):
        self.steps = steps
        sizes = [2 + 20, width, width, width, 2]
        self.weights = [rng.normal(0, a**-0.5, (a, b)) for a, b in zip(sizes, sizes[1:])]
        self.biases = [np.zeros(b) for b in sizes[1:]]

    def __call__(self, x, t, kept=None):
        """kept: a list that gets the inputs and sums of each layer, which the gradient needs."""
        angle = math.pi * np.broadcast_to(t, len(x))[:, None] / self.steps * [[1, 2, 4, 8]]
        waves = np.concatenate([angle, x, 2 * x, 4 * x], 1)  # of time and place, in several lengths
        h = np.concatenate([x, np.sin(waves), np.cos(waves)], 1)
        for w, b in zip(self.weights, self.biases):
            z = h @ w + b
            if kept is not None:
                kept += [h, z]
            h = z * (1 + np.tanh(z / 2)) / 2  # SiLU, but not after the last layer
        return z

    def loss_and_gradient(self, x, t, eps):
        """Mean squared error of the noise, and its gradient for weights and biases in turn."""
        kept, grads = [], []
        error = self(x, t, kept) - eps
        back = 2 * error / error.size
        for i in reversed(range(len(self.weights))):
            grads[:0] = [kept[2 * i].T @ back, back.sum(0)]
            z = kept[2 * i - 1]
            gate = (1 + np.tanh(z / 2)) / 2  # the sigmoid; exp(-z) would overflow
            back = back @ self.weights[i].T * (gate * (1 + z * (1 - gate)) if i else 1)
        return (error**2).mean(), grads


def train(net, data, abars, rng, steps=4000, batch=512, rate=3e-3):
    """Algorithm B.1 with Adam written out; the rate falls to zero. Returns the losses."""
    parameters = [p for pair in zip(net.weights, net.biases) for p in pair]
    losses, moments = [], [np.zeros((2, *p.shape)) for p in parameters]
    for step in range(1, steps + 1):
        x0 = data[rng.integers(len(data), size=batch)]
        t = rng.integers(len(abars), size=batch)
        eps = rng.normal(size=x0.shape)
        x_t = np.sqrt(abars[t])[:, None] * x0 + np.sqrt(1 - abars[t])[:, None] * eps
        loss, grads = net.loss_and_gradient(x_t, t, eps)
        lr = rate * (1 + math.cos(math.pi * step / steps)) / 2
        for p, g, m in zip(parameters, grads, moments):
            m[0] += 0.1 * (g - m[0])
            m[1] += 0.001 * (g * g - m[1])
            p -= lr * (m[0] / (1 - 0.9**step)) / (np.sqrt(m[1] / (1 - 0.999**step)) + 1e-8)
        losses.append(loss)
    return losses


def spiral(n, rng):
    """(n, 2) points on a spiral of almost two turns, a little scattered; variance about 1."""
    angle = 4 * math.pi * np.sqrt(rng.uniform(0.03, 1, n))
    arm = angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) / (2 * math.pi)
    return arm + 0.05 * rng.normal(size=(n, 2))


def energy_distance(a, b):
    """0 for two sets from one law: 2 E|a - b| - E|a - a'| - E|b - b'|."""
    pairs = (a, b), (a, a), (b, b)
    between, in_a, in_b = (np.hypot(*(p[:, None] - q).T).mean() for p, q in pairs)
    return 2 * between - in_a - in_b


# --- Part B's UNet (chapters 18 to 21) ------------------------------------------------------------


def read_safetensors(path):
    """name -> array: eight bytes of length, that much JSON, then the numbers one after another."""
    blob = Path(path).read_bytes()
    size = int.from_bytes(blob[:8], "little")
    kinds = {"F16": np.float16, "F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in json.loads(blob[8 : 8 + size]).items():
        if name != "__metadata__":
            a, b = (8 + size + place for place in entry["data_offsets"])
            numbers = np.frombuffer(blob[a:b], kinds[entry["dtype"]])
            tensors[name] = numbers.reshape(entry["shape"]).astype(np.float32)
    return tensors


def gelu(x):
    """x Phi(x), exact up to 2e-7: the error function after Abramowitz and Stegun, 7.1.26."""
    z = np.abs(x) * 0.5**0.5
    k = 1 / (1 + 0.3275911 * z)
    tail = 1.421413741 + k * (-1.453152027 + k * 1.061405429)
    erf = 1 - k * (0.254829592 + k * (-0.284496736 + k * tail)) * np.exp(-z * z)
    return x * (1 + np.sign(x) * erf) / 2


def conv(x, weight, bias, stride=1, padding=1):
    """(N, C, H, W) and (O, C, k, k): every window times every kernel."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (2, 3))
    sums = np.tensordot(windows[:, :, ::stride, ::stride], weight, ([1, 4, 5], [1, 2, 3]))
    return (sums + bias).transpose(0, 3, 1, 2)


def spread(x, weight, bias, stride, padding):
    """A transposed convolution: zeros between the pixels, then the kernel turned round."""
    n, c, h, w = x.shape
    wide = np.zeros((n, c, (h - 1) * stride + 1, (w - 1) * stride + 1), x.dtype)
    wide[:, :, ::stride, ::stride] = x
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return conv(wide, turned, bias, padding=weight.shape[2] - 1 - padding)


class UNet:
    """The class-conditional UNet of section 2.4, from its tensors."""

    def __init__(self, tensors):
        self.w = tensors

    def act(self, x, key, layer=conv, **how):
        """A convolution, BatchNorm with its stored statistics, GELU."""
        w, norm = self.w, f"{key}.1."
        x = layer(x, w[f"{key}.0.weight"], w[f"{key}.0.bias"], **how)
        factor = w[norm + "weight"] / np.sqrt(w[norm + "running_var"] + 1e-5)
        shift = w[norm + "bias"] - w[norm + "running_mean"] * factor
        return gelu(x * factor[:, None, None] + shift[:, None, None])

    def twice(self, x, key):
        return self.act(self.act(x, f"{key}.0"), f"{key}.1")

    def dense(self, x, key):
        """Two linear layers; (N, in) to (N, out, 1, 1)."""
        first, second = ((self.w[f"{key}.{i}.weight"], self.w[f"{key}.{i}.bias"]) for i in (0, 2))
        return (gelu(x @ first[0].T + first[1]) @ second[0].T + second[1])[:, :, None, None]

    def __call__(self, x, c, t):
        """x (N, 1, 28, 28); c (N, 10), one-hot or zeros for "not told"; t (N, 1), from 0 to 1."""
        x1 = self.twice(x, "conv_in")
        x2 = self.twice(self.act(x1, "down1.0", stride=2), "down1.1")
        x3 = self.twice(self.act(x2, "down2.0", stride=2), "down2.1")
        u = self.act(gelu(x3.mean((2, 3), keepdims=True)), "unflatten", spread, stride=7, padding=0)
        u = self.dense(c, "fc1_c") * u + self.dense(t, "fc1_t")
        up = self.act(np.concatenate([u, x3], 1), "up1.0", spread, stride=2, padding=1)
        up = self.dense(c, "fc2_c") * self.twice(up, "up1.1") + self.dense(t, "fc2_t")
        up = self.act(np.concatenate([up, x2], 1), "up2.0", spread, stride=2, padding=1)
        top = self.twice(np.concatenate([self.twice(up, "up2.1"), x1], 1), "conv_out")
        return conv(top, self.w["out.weight"], self.w["out.bias"])


def draw_digits(unet, labels, draw, abars, scale=5.0):
    """(N, 1, 28, 28), about 0 to 1: one guided walk per label. draw() -> noise of that shape."""
    told = np.eye(10, dtype=np.float32)[labels]
    both = np.concatenate([np.zeros_like(told), told])

    def estimate(x, t):
        time = np.full((len(both), 1), t / len(abars), np.float32)
        x = np.concatenate([x, x]).astype(np.float32)
        eps_uncond, eps_cond = np.split(unet(x, both, time), 2)
        return eps_uncond + scale * (eps_cond - eps_uncond)

    return walk(estimate, abars, draw)


def save_png(levels, path):
    """(H, W) bytes as a grey PNG: a header, the rows behind a 0 each, packed, and an end."""
    head = struct.pack(">2I5B", levels.shape[1], levels.shape[0], 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in levels))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, body in (b"IHDR", head), (b"IDAT", rows), (b"IEND", b""):
            check = zlib.crc32(kind + body)
            file.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check))


def main(what="points", digit="7"):
    rng = np.random.default_rng(180)
    if what == "points":
        data, abars = spiral(5000, rng), cosine_abars()
        net = PointNet(len(abars), 128, rng)
        losses = train(net, data, abars, rng)
        points = walk(net, abars, lambda: rng.normal(size=(1000, 2)))
        apart, floor = (energy_distance(p, data[:1000]) for p in (points, spiral(1000, rng)))
        print(f"loss {np.mean(losses[-500:]):.3f}, distance {apart:.4f} ({floor:.4f} if real)")
        counts = np.histogram2d(-points[:, 1], points[:, 0], 140, [[-2.3, 2.3]] * 2)[0]
        levels = np.kron(255 - np.minimum(counts * 120, 255), np.ones((3, 3)))
    else:
        abars, unet = linear_abars(), UNet(read_safetensors(WEIGHTS))
        drawn = draw_digits(unet, [int(digit)], lambda: rng.normal(size=(1, 1, 28, 28)), abars)
        levels = np.kron(drawn[0, 0].clip(0, 1) * 255, np.ones((10, 10)))
    save_png(levels.round().astype(np.uint8), f"micro-{what}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
