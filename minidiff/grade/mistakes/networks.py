"""Wrong versions of the networks: T5, DeepFloyd's UNet, the MNIST UNets."""

from functools import partial

from minidiff.grade.exercises import REFERENCE
from minidiff.grade.mistakes.mutation import Mutation

T5, UNET, MNIST = "minidiff/deepfloyd/t5.py", "minidiff/deepfloyd/unet.py", "minidiff/mnist/unet.py"

buckets = partial(Mutation, exercise="relative_buckets", file=T5, scene="sample")
norm = partial(Mutation, exercise="rms_norm", file=T5, scene="sample")
gated = partial(Mutation, exercise="gated_gelu", file=T5, scene="sample")
GATE = 'h = F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x)'
NORM_THEN_STEER = """\
    h = norm(x)
    if scale is not None:
        h = h * (1 + scale) + shift
"""
STEER_THEN_NORM = """\
    h = x if scale is None else x * (1 + scale) + shift
    h = norm(h)
"""
t5_attention = partial(Mutation, exercise="t5_attention", file=T5, scene="sample")
encoder = partial(Mutation, exercise="t5_encoder", file=T5, scene="sample")
FREQUENCIES = "frequencies are 10000^(-i / half): from 1 down, short of 1/10000"
sinusoid = partial(Mutation, exercise="timestep_embedding", file=UNET, scene="sample")
pool = partial(Mutation, exercise="text_pooling", file=UNET, scene="sample")
attention = partial(Mutation, exercise="added_kv_attention", file=UNET, scene="sample")
block = partial(Mutation, exercise="resblock", file=UNET, scene="sample")
mnist = partial(Mutation, exercise="mnist_blocks", file=MNIST)
conditioning = partial(Mutation, exercise="mnist_conditioning", file=MNIST, scene="class_digits")

WORDS = "Good pictures of something else: the prompt is misread."
NO_PICTURE = "The shipped weights do not fit, or the loss stays higher."

NETWORKS = [
    # T5
    buckets(
        name="buckets-query-minus-key",
        old="distance = positions[None, :] - positions[:, None]  # key minus query",
        new="distance = positions[:, None] - positions[None, :]",
        caught_by="small distances have a bucket each",
        hint="Before and after have changed places: the distance is counted from the wrong end.",
        picture=WORDS,
    ),
    buckets(
        name="buckets-one-direction",
        old="after = (distance > 0).long() * half",
        new="after = torch.zeros_like(distance)",
        caught_by="keys after the query use the second half",
        hint="Keys before and after the query share buckets; an encoder tells them apart.",
        picture=WORDS,
    ),
    buckets(
        name="buckets-all-exact",
        old="return after + torch.where(distance < exact, distance, far.clamp(max=half - 1))",
        new="return after + distance.clamp(max=half - 1)",
        caught_by="larger distances share buckets, in steps that grow",
        hint="Distances from 8 on should share buckets that grow; these still have one each.",
        picture="Short prompts are right; long ones are misread.",
    ),
    buckets(
        name="buckets-not-clamped",
        old="far.clamp(max=half - 1)",
        new="far",
        caught_by=REFERENCE,
        hint="Very far keys run over into buckets that do not exist, or belong to the other side.",
        picture="Right for 77 tokens; an error for longer texts.",
        scene="",
    ),
    norm(
        name="rms-mean-subtracted",
        old="variance = x.float().pow(2).mean(dim=-1, keepdim=True)",
        new="x = x - x.mean(dim=-1, keepdim=True)\n"
        "        variance = x.float().pow(2).mean(dim=-1, keepdim=True)",
        caught_by="the mean is not subtracted",
        hint="The mean is taken out first. That is layer norm; T5 leaves the mean in.",
        picture=WORDS,
    ),
    norm(
        name="rms-sum-for-mean",
        old="variance = x.float().pow(2).mean(dim=-1, keepdim=True)",
        new="variance = x.float().pow(2).sum(dim=-1, keepdim=True)",
        caught_by="every vector comes out with root mean square 1",
        hint="The squares are added up, not averaged: the result has length 1, not mean square 1.",
        picture="The prompt hardly counts: pictures of nothing in particular.",
    ),
    norm(
        name="rms-over-positions",
        old="variance = x.float().pow(2).mean(dim=-1, keepdim=True)",
        new="variance = x.float().pow(2).mean(dim=-2, keepdim=True)",
        caught_by="every vector comes out with root mean square 1",
        hint="The statistics run over the positions of the text, not over a token's numbers.",
        picture=WORDS,
    ),
    norm(
        name="rms-no-root",
        old="x = x * torch.rsqrt(variance + self.eps)",
        new="x = x / (variance + self.eps)",
        caught_by="every vector comes out with root mean square 1",
        hint="Divided by the mean square; its root is missing.",
        picture=WORDS,
    ),
    norm(
        name="rms-eps-outside",
        old="x = x * torch.rsqrt(variance + self.eps)",
        new="x = x / (variance.sqrt() + self.eps)",
        caught_by="eps is added to the mean square",
        hint="eps is added to the root. It belongs to the mean square, under it.",
        picture="Not to be seen with these weights; small vectors come out too large.",
    ),
    norm(
        name="rms-half-precision-statistics",
        old="variance = x.float().pow(2)",
        new="variance = x.pow(2)",
        caught_by=REFERENCE,
        hint="The squares are taken in half precision, where 256 squared is already too large.",
        picture="Right on the CPU; in fp16 black pictures, from states that are 0 or NaN.",
        scene="",
    ),
    norm(
        name="rms-weight-forgotten",
        old="return self.weight * x.to(self.weight.dtype)",
        new="return x.to(self.weight.dtype)",
        caught_by="the weight multiplies",
        hint="The learned weight of each channel is not used.",
        picture=WORDS,
    ),
    gated(
        name="gate-exact-gelu",
        old=GATE,
        new="h = F.gelu(self.wi_0(x)) * self.wi_1(x)",
        caught_by="the GELU is the tanh form, to the last digits",
        hint="The other form of GELU: T5 v1.1 was trained with the tanh approximation.",
        picture="Not to be seen; the states differ in the fourth digit.",
    ),
    gated(
        name="gate-on-the-other-branch",
        old=GATE,
        new='h = self.wi_0(x) * F.gelu(self.wi_1(x), approximate="tanh")',
        caught_by="the gate multiplies the other branch",
        hint="The GELU is on the other of the two branches.",
        picture=WORDS,
    ),
    gated(
        name="gate-missing",
        old=GATE,
        new='h = F.gelu(self.wi_0(x), approximate="tanh")',
        caught_by="the gate multiplies the other branch",
        hint="This is T5 v1.0's layer: one branch with an activation, and nothing it gates.",
        picture=WORDS,
    ),
    gated(
        name="gate-relu",
        old=GATE,
        new="h = F.relu(self.wi_0(x)) * self.wi_1(x)",
        caught_by="the gate multiplies the other branch",
        hint="The activation cuts off below 0. The file's config says gated-gelu.",
        picture=WORDS,
    ),
    gated(
        name="gate-added",
        old=GATE,
        new='h = F.gelu(self.wi_0(x), approximate="tanh") + self.wi_1(x)',
        caught_by="the gate multiplies the other branch",
        hint="The branches are added. A gate lets through, or not.",
        picture=WORDS,
    ),
    t5_attention(
        name="t5-scaled-scores",
        old=", scale=1.0)",
        new=")",
        caught_by="without bias: scores are not divided by sqrt(d)",
        hint="The scores are divided by the root of the head's width, as everywhere but in T5.",
        picture=WORDS,
    ),
    t5_attention(
        name="t5-bias-not-added",
        old="q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)",
        new="q, k, v, scale=1.0)",
        caught_by="a key with a very negative bias is not seen",
        hint="The scores know nothing of positions, and nothing of padding.",
        picture="The order of the words is lost, and padding drowns the prompt.",
    ),
    t5_attention(
        name="t5-query-key-swapped",
        old="F.scaled_dot_product_attention(q, k, v, attn_mask",
        new="F.scaled_dot_product_attention(k, q, v, attn_mask",
        caught_by="without bias: scores are not divided by sqrt(d)",
        hint="Queries and keys have changed places.",
        picture=WORDS,
    ),
    encoder(
        name="t5-mask-not-passed",
        old="return bias.masked_fill(mask[:, None, None, :] == 0, hidden)",
        new="return bias.expand(len(mask), -1, -1, -1)",
        caught_by="padded keys are hidden, all others are not",
        hint="The tokens see the padding. Other models' text encoders do; DeepFloyd's does not.",
        picture="The prompt is drowned by up to 76 padding tokens: vague, often wrong pictures.",
    ),
    encoder(
        name="t5-mask-inverted",
        old="mask[:, None, None, :] == 0",
        new="mask[:, None, None, :] == 1",
        caught_by="padded keys are hidden, all others are not",
        hint="The tokens are hidden and the padding is seen.",
        picture="All prompts give the same picture.",
    ),
    encoder(
        name="t5-mask-on-queries",
        old="mask[:, None, None, :] == 0",
        new="mask[:, None, :, None] == 0",
        caught_by="padded keys are hidden, all others are not",
        hint="What is hidden are rows, the queries of the padding. Tokens still see the padding.",
        picture="Vague, often wrong pictures.",
    ),
    encoder(
        name="t5-last-norm-missing",
        old="return self.encoder.final_layer_norm(x)",
        new="return x",
        caught_by=REFERENCE,
        hint="The states leave without the norm at the end of the stack.",
        picture=WORDS,
    ),
    encoder(
        name="t5-bias-transposed",
        old=".permute(2, 0, 1)[None]  # (1, heads, L, L)",
        new=".permute(2, 1, 0)[None]",
        caught_by="the bias of a pair is the table's row of its bucket",
        hint="Query and key have changed places in the bias.",
        picture=WORDS,
    ),
    # the UNet
    sinusoid(
        name="sinusoid-sines-first",
        old="return torch.cat([angles.cos(), angles.sin()], dim=1)",
        new="return torch.cat([angles.sin(), angles.cos()], dim=1)",
        caught_by="cosines first, then sines",
        hint="The halves are in the order of the transformer paper. This model has it reversed.",
        picture="Noise: the network does not know what time it is.",
    ),
    sinusoid(
        name="sinusoid-last-frequency",
        old="torch.arange(half, device=t.device).float() / half)",
        new="torch.arange(half, device=t.device).float() / (half - 1))",
        caught_by=FREQUENCIES,
        hint="Your last frequency is 1/10000 itself. It should stop short of that: i / half is "
        "never 1, as i ends at half - 1.",
        picture="Slightly wrong times: washed-out or grainy pictures.",
    ),
    sinusoid(
        name="sinusoid-by-the-whole-width",
        old="torch.arange(half, device=t.device).float() / half)",
        new="torch.arange(half, device=t.device).float() / dim)",
        caught_by=FREQUENCIES,
        hint="The frequencies fall only half as far, to about 1/100: i is counted to half, and "
        "divided by the whole width.",
        picture="Noise: the network does not know what time it is.",
    ),
    sinusoid(
        name="sinusoid-counted-from-1",
        old="torch.arange(half, device=t.device).float() / half)",
        new="torch.arange(1, half + 1, device=t.device).float() / half)",
        caught_by=FREQUENCIES,
        hint="The first frequency should be 1: i is counted from 0, not from 1.",
        picture="Slightly wrong times: washed-out or grainy pictures.",
    ),
    pool(
        name="pool-position-forgotten",
        old="mean = text.mean(dim=1, keepdim=True) + self.positional_embedding",
        new="mean = text.mean(dim=1, keepdim=True)",
        caught_by="the query is the mean of all tokens, and attends to itself too",
        hint="The query has a learned embedding of its own, which is not added.",
        picture="The prompt counts less, or is misread.",
    ),
    pool(
        name="pool-first-token",
        old="mean = text.mean(dim=1, keepdim=True) + self.positional_embedding",
        new="mean = text[:, :1] + self.positional_embedding",
        caught_by="the query is the mean of all tokens, and attends to itself too",
        hint="The query is made of the first token; it should be made of all of them.",
        picture="The prompt counts less, or is misread.",
    ),
    pool(
        name="pool-without-itself",
        old="tokens = torch.cat([mean, text], dim=1)  # (B, 1 + L, D)",
        new="tokens = text",
        caught_by="the query is the mean of all tokens, and attends to itself too",
        hint="The query attends to the tokens but not to itself.",
        picture="Not to be seen, or slightly other colours.",
    ),
    attention(
        name="text-not-normed",
        old="text = self.norm_cross(text.transpose(1, 2)).transpose(1, 2)",
        new="text = text",
        caught_by=REFERENCE,
        hint="The text goes into keys and values without its norm.",
        picture="The prompt has another strength than in training: wrong or no objects.",
    ),
    attention(
        name="text-norm-over-wrong-axis",
        old="text = self.norm_cross(text.transpose(1, 2)).transpose(1, 2)",
        new="text = F.layer_norm(text, text.shape[-1:], self.norm_cross.weight,"
        " self.norm_cross.bias)",
        caught_by=REFERENCE,
        hint="Every token is normed by itself. The group norm's channels are on the other axis.",
        picture="Wrong or vague objects.",
    ),
    attention(
        name="keys-in-another-order-than-values",
        old="v = torch.cat([text_v, self.to_v(pixels)], dim=1)",
        new="v = torch.cat([self.to_v(pixels), text_v], dim=1)",
        caught_by=REFERENCE,
        hint="Keys and values stand in different orders: what matches one brings another.",
        picture="Texture without objects.",
    ),
    attention(
        name="text-keys-left-out",
        old="k = torch.cat([text_k, self.to_k(pixels)], dim=1)\n"
        "            v = torch.cat([text_v, self.to_v(pixels)], dim=1)",
        new="k, v = self.to_k(pixels), self.to_v(pixels)",
        caught_by=REFERENCE,
        hint="The pixels attend to each other only; the prompt is not among the keys.",
        picture="The prompt is nearly ignored: it acts through the pooled vector only.",
    ),
    attention(
        name="attention-residual-missing",
        old="return x + self.to_out[0](out).transpose(1, 2).unflatten(2, x.shape[2:])",
        new="return self.to_out[0](out).transpose(1, 2).unflatten(2, x.shape[2:])",
        caught_by="the picture is added back",
        hint="The result replaces the picture instead of being added to it.",
        picture="A flat colour or coarse noise.",
    ),
    attention(
        name="attention-norm-missing",
        old="pixels = self.group_norm(x.flatten(2)).transpose(1, 2)",
        new="pixels = x.flatten(2).transpose(1, 2)",
        caught_by=REFERENCE,
        hint="The picture is not normed before queries, keys and values are made of it.",
        picture="Burnt-out textures.",
    ),
    block(
        name="scale-and-shift-exchanged",
        old="scale, shift = self.time_emb_proj",
        new="shift, scale = self.time_emb_proj",
        caught_by="halving and doubling, on both branches",
        hint="The two halves of the projection have changed places.",
        picture="Flat colours or noise: every block is steered wrongly.",
    ),
    block(
        name="scale-without-one",
        old="h = h * (1 + scale) + shift",
        new="h = h * scale + shift",
        caught_by="halving and doubling, on both branches",
        hint="A scale of 0 should leave the norm as it is; here it wipes it out.",
        picture="Flat colours: most of the signal is gone.",
    ),
    block(
        name="steered-before-norm",
        old=NORM_THEN_STEER,
        new=STEER_THEN_NORM,
        caught_by="halving and doubling, on both branches",
        hint="Scale and shift come before the norm, which takes most of them out again.",
        picture="Noise is left: the network hardly knows the time.",
    ),
    block(
        name="block-activation-missing",
        old="h = self.conv2(self.norm_gelu(self.norm2, h, scale, shift))",
        new="h = self.conv2(self.norm2(h) * (1 + scale) + shift)",
        caught_by="halving and doubling, on both branches",
        hint="There is no activation before the second convolution.",
        picture="Coarse noise or flat colours.",
    ),
    block(
        name="block-residual-missing",
        old="return x + h",
        new="return h",
        caught_by="with all weights of conv2 at 0, the input comes through",
        hint="The block's input is not added to its result.",
        picture="A flat colour.",
    ),
    block(
        name="block-resamples-one-branch",
        old="h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)",
        new="h, x = F.avg_pool2d(h, 2), F.interpolate(x, scale_factor=0.5)",
        caught_by="halving and doubling, on both branches",
        hint="On one branch pixels are averaged, on the other every second one is dropped.",
        picture="Jagged edges, false patterns.",
    ),
    block(
        name="block-bilinear-up",
        old="F.interpolate(h, scale_factor=2.0), F.interpolate(x, scale_factor=2.0)",
        new='F.interpolate(h, scale_factor=2.0, mode="bilinear"), '
        'F.interpolate(x, scale_factor=2.0, mode="bilinear")',
        caught_by="halving and doubling, on both branches",
        hint="Doubling should repeat pixels; here it blends them.",
        picture="Soft: fine detail is blurred.",
    ),
    # MNIST
    mnist(
        name="mnist-conv-no-padding",
        old="nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=2, padding=1)",
        new="nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=2)",
        caught_by="shapes",
        hint="Without a border of zeros, half of 14 is not 7.",
        picture="An error: the sizes do not meet where the skip joins.",
    ),
    mnist(
        name="mnist-up-kernel-three",
        old="nn.ConvTranspose2d(channels_in, channels_out, kernel_size=4, stride=2, padding=1)",
        new="nn.ConvTranspose2d(channels_in, channels_out, kernel_size=3, stride=2, padding=1, "
        "output_padding=1)",
        caught_by="numbers of parameters",
        hint="The shape is right, but the kernel is not the course's.",
        picture=NO_PICTURE,
    ),
    mnist(
        name="mnist-no-activation-after-flatten",
        old="super().__init__(nn.AvgPool2d(7), nn.GELU())",
        new="super().__init__(nn.AvgPool2d(7))",
        caught_by="Flatten averages, then GELU",
        hint="The course's Flatten has an activation after the average.",
        picture="The shipped weights draw slightly wrong digits.",
        scene="class_digits",
    ),
    mnist(
        name="mnist-max-for-average",
        old="super().__init__(nn.AvgPool2d(7), nn.GELU())",
        new="super().__init__(nn.MaxPool2d(7), nn.GELU())",
        caught_by="Flatten averages, then GELU",
        hint="The largest value is taken, not the mean.",
        picture="With the shipped weights, blots.",
        scene="class_digits",
    ),
    mnist(
        name="mnist-activation-after-fc",
        old="nn.Linear(features_out, features_out),\n",
        new="nn.Linear(features_out, features_out),\n            nn.GELU(),\n",
        caught_by="FCBlock has no activation at its end",
        hint="An activation at the end of FCBlock: it can hardly subtract any more.",
        picture="With the shipped weights, grey blots; trained anew, a higher loss.",
        scene="class_digits",
    ),
    mnist(
        name="mnist-relu",
        old="nn.ConvTranspose2d(channels, channels, kernel_size=7, stride=7),\n"
        "            nn.BatchNorm2d(channels),\n            nn.GELU(),",
        new="nn.ConvTranspose2d(channels, channels, kernel_size=7, stride=7),\n"
        "            nn.BatchNorm2d(channels),\n            nn.ReLU(),",
        caught_by=REFERENCE,
        hint="A ReLU stands where the course has a GELU.",
        picture="Not to be seen.",
        scene="class_digits",
    ),
    conditioning(
        name="time-multiplied",
        old="u = u + self.fc1_t(t)",
        new="u = u * self.fc1_t(t)",
        caught_by=REFERENCE,
        hint="Time multiplies here. Later editions of the course do that; in this one it is added.",
        picture="With the shipped weights, blots.",
        scene="digits",
    ),
    conditioning(
        name="time-second-forgotten",
        old="up1 = self.up1(concat(u, x3)) + self.fc2_t(t)",
        new="up1 = self.up1(concat(u, x3))",
        caught_by=REFERENCE,
        hint="Time enters once; the second place is missing.",
        picture="Grainy digits: the network misjudges how much noise there is.",
        scene="digits",
    ),
    conditioning(
        name="class-added",
        old="u = self.fc1_c(c) * u + self.fc1_t(t)",
        new="u = self.fc1_c(c) + u + self.fc1_t(t)",
        caught_by="a masked class is a vector of zeros",
        hint="The class is added where it should multiply.",
        picture="With the shipped weights, digits of any kind.",
    ),
    conditioning(
        name="class-and-time-exchanged",
        old="u = self.fc1_c(c) * u + self.fc1_t(t)",
        new="u = self.fc1_t(t) * u + self.fc1_c(c)",
        caught_by="a masked class is a vector of zeros",
        hint="Time multiplies and the class is added: the two have changed roles.",
        picture="Blots.",
    ),
    conditioning(
        name="mask-inverted",
        old="c = c * mask[:, None].to(x.dtype)",
        new="c = c * (1 - mask[:, None].to(x.dtype))",
        caught_by="a masked class is a vector of zeros",
        hint="The class is zeroed where it should be told.",
        picture="Guidance pushes away from the digit that was asked for.",
    ),
    conditioning(
        name="mask-ignored",
        old="        if mask is not None:\n            c = c * mask[:, None].to(x.dtype)\n",
        new="",
        caught_by="a masked class is a vector of zeros",
        hint="The mask changes nothing: there is no unconditional estimate.",
        picture="As without guidance, for both estimates are the same: less clear digits.",
    ),
]
