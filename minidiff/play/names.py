"""What a model can be asked for: names that complete as one types, and a few examples."""

from collections.abc import Sequence
from dataclasses import dataclass

from minidiff.deepfloyd.embeddings import PrecomputedText

DEMO_EXAMPLES = (
    "a cat", "red heart", "a rocket", "a fluent emoji of pizza", "a red apple on a blue background",
    "sunflower",
)  # fmt: skip
COURSE_EXAMPLES = (
    "a high quality photo", "a rocket ship", "a man wearing a hat",
    "an oil painting of a snowy mountain village", "a lithograph of waterfalls",
)  # fmt: skip


@dataclass(frozen=True)
class KnownPrompts:
    """names complete in a field, the shortest first; free: other prompts may be typed too."""

    names: Sequence[str]
    examples: Sequence[str]
    free: bool = True


def known_prompts(model) -> KnownPrompts:
    if isinstance(model.encode, PrecomputedText):  # nothing else can be asked for
        known = tuple(prompt for prompt in model.encode.embeddings if prompt)
        return KnownPrompts(known, known[:6], free=False)
    names = model.encode.words.names
    return KnownPrompts(names or COURSE_EXAMPLES, DEMO_EXAMPLES if names else COURSE_EXAMPLES)
