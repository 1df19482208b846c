"""The tables of slips.py: what is exchanged for what, and the words for it."""

import ast

GRADIENTS = "The walk runs without torch.no_grad(): it drags a graph of gradients behind it."
LISTS = ("rows", "active", "generator", "threshold", "starts", "seeds")
DRAWS = [
    ("()", "noise is drawn for all pictures, also for those that are not asked for."),
    ("()[rows]", "noise is drawn for all pictures, also for those that do not move: theirs is used "
     "up."),
    ("()[: len(rows)]", "noise is drawn for all pictures, and that of the first is used."),
    ("()[:1]", "one picture's noise is used for all."),
    ("(rows[:1])", "one picture's noise is used for all."),
    ("(rows)[:1]", "one picture's noise is used for all."),
    ("() * 0", "no noise is added."),
    ("(rows) * 2", "the noise is doubled."),
    ("(rows) * 0.5", "the noise is halved."),
]  # fmt: skip
MODULES = ("torch", "F", "math", "nn")
COMMON_NUMBERS = ("0", "1", "7.0", "5.0", "2", "10", "0.1", "0.5", "0.95", "1.5", "1e-6", "1e-5",
                  "1e-8", "300", "1000", "28", "30", "990", "32", "128", "16", "3", "4", "64",
                  "100", "999", "299", "0.999", "0.02", "7.5", "90", "180")  # fmt: skip
EXTRA_NUMBERS = (2, 3, 4, 5, 7, 9, 10, 15, 16, 31, 64, 100, 300, 1000, 0.1)
SYMBOLS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//",
           ast.MatMult: "@", ast.Mod: "%"}  # fmt: skip
OTHER_SIGN = {
    ast.Add: [("-", "a sign is the other way round: minus"), ("*", "there is a product with")],
    ast.Sub: [("+", "a sign is the other way round: plus")],
    ast.Mult: [("/", "it is divided, not multiplied, by"), ("+", "there is a sum with")],
    ast.Div: [
        ("*", "it is multiplied, not divided, by"),
        ("//", "it is divided to whole numbers by"),
    ],
    ast.FloorDiv: [("*", "it is multiplied, not divided, by")],
}
DROPPED = {
    ast.Add: "the term {} is missing.",
    ast.Sub: "{} is not subtracted.",
    ast.Mult: "the factor {} is missing.",
    ast.Div: "it is not divided by {}.",
    ast.FloorDiv: "it is not divided by {}.",
    ast.MatMult: "the factor {} is missing.",
    ast.Mod: "it is not taken modulo {}.",
}
COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==",
               ast.NotEq: "!="}  # fmt: skip
SAME_COMPARISON = {ast.Eq: ("==", "<="), ast.Lt: ("<", "<="), ast.Gt: (">", ">=")}
OTHER_COMPARISON = {
    ast.Lt: ["<=", ">=", ">"], ast.LtE: ["<", ">", ">="], ast.Gt: [">=", "<=", "<"],
    ast.GtE: [">", "<", "<="], ast.Eq: ["!=", "<=", ">="], ast.NotEq: ["=="],
}  # fmt: skip
DROPPABLE = set(
    """
    abs argsort avg_pool2d clamp cumprod double exp fc1_c fc1_t final_layer_norm flip float
    gelu group_norm half interpolate inverse inverse_variance log long low_pass max mean min
    no_grad norm norm_cross permute reversed rot90 rsqrt sqrt square tanh to transpose up1
    view
""".split()
)
OTHER_CALL = {
    name: others.split()
    for name, _, others in (
        part.partition(":")
        for part in """
    mean: sum amax; sum: mean; gelu: relu silu sigmoid tanh; cos: sin; sin: cos; log: log10
    log2; long: round; max: min; min: max; GELU: ReLU SiLU; AvgPool2d: MaxPool2d;
    avg_pool2d: max_pool2d; eval: train; train: eval; mse_loss: l1_loss smooth_l1_loss;
    rand: randn; randn: rand; zeros_like: ones_like; ones_like: zeros_like; view: inverse;
    inverse: view; inverse_variance: inverse view; rsqrt: sqrt; float: half; double: float;
    fc1_t: fc2_t; fc2_t: fc1_t; to_k: to_v to_q; to_v: to_k; to_q: to_k; rot90: flip
""".replace("\n   ", "")
        .strip()
        .split("; ")
    )
}
FOR_NUMBERS = [
    ("{0} + 1", "{0} is one too large: is something counted from 1?"),
    ("{0} - 1", "{0} is one too small: is something counted from 1?"),
    ("0 * {0}", "{0} is not looked at: it acts as if it were always 0."),
    ("{0} / 2", "{0} is halved."),
    ("int({0})", "{0} is made a whole number."),
]  # fmt: skip
FOR_ALL = [  # an argument, from the first line on
    ("{0}.clamp(-1, 1)", "{0} is clamped to [-1, 1] before it is used."),
    ("{0}.clamp(0, 1)", "{0} is clamped to [0, 1] before it is used."),
    ("{0} ** 0.5", "{0} acts as if its square root were meant."),
    ("{0} ** 2", "{0} acts as if it were squared."),
    ("-{0}", "{0} has the wrong sign."),
    ("0 * {0}", "{0} is not looked at: it acts as if it were 0."),
    ("2 * {0}", "{0} is doubled before it is used."),
    ("{0} / 2", "{0} is halved before it is used."),
    ("1 - {0}", "{0} acts as if it were 1 - {0}."),
    ("{0}.mT", "the last two axes of {0} have changed places."),
    ("{0}[:, :1]", "the first channel (or head) of {0} is used for all."),
    ("[*reversed({0})]", "{0} is used in the opposite order."),
    ("{0}[:1] if hasattr({0}, 'shape') else {0}", "the first {0} is used for all pictures."),
    ("{0}[:1].expand_as({0})", "the first {0} is used for all pictures."),
    ("{0}[-1:]", "the last {0} is used for all pictures."),
    ("{0}.mean()", "{0} is averaged before it is used."),
    ("{0}.long()", "{0} is made whole numbers before it is used."),
    ("{0}.flip(0)", "{0} is used in the opposite order."),
    ("{0} + 1", "1 is added to {0} before it is used."),
    ("{0} - 1", "1 is subtracted from {0} before it is used."),
    ("[{0}[0]] * len({0})", "the first of {0} is used for all."),
    ("list(range(len({0})))", "{0} is not looked at: it acts as if it were 0, 1, 2, ..."),
]  # fmt: skip
FOR_ONE = [  # a name, in one place
    ("({0} ** 0.5)", "a square root too many is taken, of {0}."),
    ("({0} ** 2)", "{0} is squared in one place."),
    ("(1 - {0})", "1 - {0} stands in a place where {0} belongs."),
    ("{0}.clamp(-1, 1)", "{0} is clamped to [-1, 1] in one place."),
    ("{0}.clamp(0, 1)", "{0} is clamped to [0, 1] in one place."),
    ("{0}[:1]", "only the first of {0} is used in one place."),
    ("{0}.mean()", "{0} is averaged in one place."),
    ("({0} - 1)", "a place has {0} - 1 where {0} belongs."),
    ("max({0} - 1, -1)", "a place has {0} - 1 where {0} belongs."),
    ("({0} + 1)", "a place has {0} + 1 where {0} belongs."),
    ("0", "{0} is missing in one place: it acts as if it were 0."),
    ("(1 + {0})", "1 + {0} stands in a place where {0} belongs."),
    ("max({0}, 0)", "{0} is kept from falling below 0."),
]  # fmt: skip
RESULT = [
    ("{0}.clamp(-1, 1)", "{0} is clamped to [-1, 1]: a clamp is left in."),
    ("{0}.clamp(0, 1)", "{0} is clamped to [0, 1]: a clamp is left in."),
    ("(-{0})", "{0} has the wrong sign."),
    ("({0} ** 0.5)", "there is a square root too many around {0}."),
    ("({0}).flip(0)", "{0} is in the opposite order."),
    ("list(reversed({0}))", "{0} is in the opposite order."),
    ("{0}.mT", "the last two axes of {0} have changed places."),
    ("{0}[1:]", "the first entry of {0} is left out."),
    ("{0}[:-1]", "the last entry of {0} is left out."),
    ("(2 * {0})", "{0} is twice what it should be."),
    ("({0} / 2)", "{0} is half of what it should be."),
    ("({0}).exp()", "the exponential of {0} is given."),
    ("({0}).log()", "the logarithm of {0} is given."),
    ("({0} / 2**0.5)", "{0} is divided by the root of 2."),
    ("({0} * 2**0.5)", "{0} is multiplied by the root of 2."),
]  # fmt: skip

INTERLEAVED = "the heads are interleaved: a head is a run of neighbouring channels, not every n-th."
OVER_QUERIES = "the softmax runs over the queries; each query's weights of all keys make 1."
UNMERGED = "heads and positions are mixed up when the heads are put side by side again."
FROM_ONE = "timesteps are counted from 1 to T, as the course does; here they count from 0 to T-1."
PLAIN = "F.scaled_dot_product_attention(q, k, v)"
ROUNDED = "a number is rounded where it should be cut off."
IDIOMS = [  # kind, text, what people write instead, what it looks like
    ("heads-interleaved", ".unflatten(-1, (self.heads, -1)).transpose(1, 2)",
     ".unflatten(-1, (-1, self.heads)).permute(0, 3, 1, 2)", INTERLEAVED),
    ("heads-interleaved", "split_heads(z, self.heads)",
     "z.unflatten(-1, (-1, self.heads)).permute(0, 3, 1, 2)", INTERLEAVED),
    ("heads-not-merged", "out.transpose(1, 2).flatten(2)",
     "out.reshape(out.shape[0], out.shape[2], -1)", UNMERGED),
    ("heads-not-merged", "merge_heads(F.scaled_dot_product_attention(q, k, v))",
     f"(lambda o: o.reshape(o.shape[0], o.shape[2], -1))({PLAIN})", UNMERGED),
    ("softmax-over-queries", PLAIN, "((q @ k.mT) / q.shape[-1] ** 0.5).softmax(-2) @ v",
     OVER_QUERIES),
    ("softmax-over-queries",
     "F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)",
     "((q @ k.mT) + bias.to(q.dtype)).softmax(-2) @ v", OVER_QUERIES),
    ("scores-not-divided", PLAIN, "F.scaled_dot_product_attention(q, k, v, scale=1.0)",
     "the scores are not divided by the root of a head's width."),
    ("another-width", PLAIN, "F.scaled_dot_product_attention(q, k, v, scale=(q.shape[1] * "
     "q.shape[-1]) ** -0.5)", "the scores are divided by the root of the whole width."),
    ("interleaved", "torch.cat([angles.cos(), angles.sin()], dim=1)",
     "torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)",
     "cosines and sines are interleaved; here all cosines come first."),
    ("interleaved", "torch.cat([angles.cos(), angles.sin()], dim=1)",
     "torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)",
     "sines and cosines are interleaved; here all cosines come first."),
    ("offset-forgotten", "(u + 0.008) / 1.008", "u", "the small offset s = 0.008 is left out."),
    ("t-over-T-1", "t / len(abars)", "t / (len(abars) - 1)",
     "t is divided by T - 1; the UNet is told t / T."),
    ("counted-from-1", "t / len(abars)", "(t + 1) / len(abars)", FROM_ONE),
    ("counted-from-1", "torch.randint(0, len(abars)", "torch.randint(1, len(abars)",
     "t = 0 is never drawn. " + FROM_ONE[0].upper() + FROM_ONE[1:]),
    ("counted-from-1", "torch.randint(0, len(abars)", "torch.randint(1, len(abars) + 1", FROM_ONE),
    ("last-step-missing", "reversed(range(len(abars)))", "reversed(range(1, len(abars)))",
     "the walk ends one step early, at t = 1."),
    ("rounded", ".long()", ".round().long()", ROUNDED),
    ("rounded-up", ".long()", ".ceil().long()", "a number is rounded up; it should be cut off."),
    ("heads-interleaved", "out.transpose(1, 2).flatten(2)",
     "out.permute(0, 2, 3, 1).flatten(2)", "the heads are interleaved when they are merged."),
    ("one-step-more", "zip(timesteps[:-1], timesteps[1:])", "zip(timesteps, [*timesteps[1:], -1])",
     "there is one step more, onto -1: the course's walk ends at t = 0."),
    ("evenly-spread", "[i * stride for i in reversed(range(num_steps))]",
     "[round(i * (num_timesteps - 1) / max(1, num_steps - 1)) for i in reversed(range(num_steps))]",
     "the timesteps are spread evenly from T-1 to 0; the official spacing begins lower."),
    ("evenly-spread", "[i * stride for i in reversed(range(num_steps))]",
     "[num_timesteps - 1 - i * stride for i in range(num_steps)]",
     "the timesteps begin at T-1 ('trailing'); the official spacing ends on 0."),
    ("rounded-late", "[i * stride for i in reversed(range(num_steps))]",
     "[i * num_timesteps // num_steps for i in reversed(range(num_steps))]",
     "i T / n is rounded for each i; the official spacing is r = T // n everywhere."),
    ("end-forgotten", "[*timesteps[1:], -1]", "[*timesteps[1:], timesteps[-1]]",
     "the last step does not lead on to the clean picture, -1."),
    ("shifted", "torch.cumprod(1 - self.betas.double(), dim=0)",
     "torch.cat([torch.ones(1, **EXACT), torch.cumprod(1 - self.betas.double(), dim=0)[:-1]])",
     "abars begin with 1, so that each stands one timestep too late."),
    ("even-steps", "[t_start + i * step_size for i in range(whole + 1)]",
     "[t_start + i * (1 - t_start) / (whole + 1) for i in range(whole + 1)]",
     "all steps are of one size; only the last may be shorter than step_size."),
    ("even-timesteps", "[pairs[s][0] for s in starts]", "[990 - 30 * s for s in starts]",
     "the course's walk is assumed, 990, 960, ...; the walk is the one that `pairs` gives."),
    ("target-of-step", "[pairs[s][0] for s in starts]", "[pairs[s][1] for s in starts]",
     "the timestep is the one that the first step leads to, not the one that it leaves."),
    ("alternating", "answer.chunk(2, dim=1)", "(answer[:, 0::2], answer[:, 1::2])",
     "the channels are taken alternately; the first half is the noise, the second the variance."),
    ("alternating", "torch.cat([x, x]), torch.cat([c, c])",
     "x.repeat_interleave(2, 0), c.repeat_interleave(2, 0)",
     "each picture stands beside its double, but the answers are cut in two halves."),
    ("by-channel", "x0.flatten(1).abs().float(), ratio, dim=1)  # (B,)\n"
     "    s = s.clamp(1, max_value).to(x0.dtype)[:, None, None, None]",
     "x0.flatten(2).abs().float(), ratio, dim=2)\n"
     "    s = s.clamp(1, max_value).to(x0.dtype)[:, :, None, None]",
     "every channel has a quantile of its own; it is one for the whole picture."),
    ("embedding-scaled", "self.shared(ids)", "self.shared(ids) * self.config.d_model ** 0.5",
     "the embedding is scaled by the root of its width, as in the first transformer; T5's is not."),
    ("padding-zeroed", "final_layer_norm(x)", "final_layer_norm(x) * mask[..., None]",
     "the states of the padding are zeroed; the UNet reads them as they are."),
    ("text-normed-by-token", "self.norm_cross(text.transpose(1, 2)).transpose(1, 2)",
     "self.norm_cross(text.flatten(0, 1)).view_as(text)",
     "every token is normed by itself; the statistics go over all positions together."),
    ("position-on-all", "torch.cat([mean, text], dim=1)",
     "torch.cat([mean, text + self.positional_embedding], dim=1)",
     "the positional embedding is added to the tokens too; it belongs to the query alone."),
    ("bilinear", "F.interpolate(x, scale_factor=2.0)",
     'F.interpolate(x, scale_factor=2.0, mode="bilinear")', "pixels are blended, not repeated."),
    ("another-loss", "squared_error(unet,", "(lambda unet, e: (unet(*e[0]).float() - e[1]).abs()"
     ".mean())(unet,", "the loss is the mean distance; the mean square is asked for."),
    ("another-loss", "squared_error(unet,", "(lambda unet, e: torch.nn.functional.smooth_l1_loss("
     "unet(*e[0]).float(), e[1]))(unet,", "the loss is Huber's; the mean square is asked for."),
    ("drawn-twice", "squared_error(unet, flow_example(x_1))",
     "squared_error(unet, (flow_example(x_1)[0], flow_example(x_1)[1]))",
     "what the UNet is told and its target come from two draws; both belong to one example."),
    ("drawn-twice", "squared_error(unet, class_flow_example(x_1, c, p_uncond))",
     "squared_error(unet, (class_flow_example(x_1, c, p_uncond)[0], class_flow_example(x_1, c, "
     "p_uncond)[1]))",
     "what the UNet is told and its target come from two draws; both belong to one example."),
    ("another-loss", "squared_error(unet,", "0.5 * squared_error(unet,",
     "the loss is half the mean square."),
    ("seeds-ignored", "SeededNoise(seeds,", "SeededNoise(list(range(len(seeds))),",
     "the seeds are not looked at: it acts as if they were 0, 1, 2, ..."),
    ("seeds-ignored", "SeededNoise(seeds,", "SeededNoise([0] * len(seeds),",
     "the seeds are not looked at: all pictures begin with seed 0."),
    ("seeds-ignored", "SeededNoise(seeds,", "SeededNoise([seeds[0]] * len(seeds),",
     "all pictures begin with the first seed."),
    ("sizes-swapped", "(1, img_wh[1], img_wh[0])", "(1, img_wh[0], img_wh[1])",
     "height and width have changed places: img_wh is width, height."),
    ("sizes-swapped", "(1, img_wh[1], img_wh[0])", "(1, 28, 28)",
     "img_wh is not looked at: it acts as if it were always (28, 28)."),
]  # fmt: skip
