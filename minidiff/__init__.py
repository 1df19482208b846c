"""minidiff: DeepFloyd IF and the course project around it, written out by hand.

Data goes one way, and a module knows only what stands to its left:

    prompt -> tokenizer -> T5 -> text states -> [guidance asks UNet, equations step] x N -> image

Start reading at `minidiff/equations.py`: that is the file you are meant to change.
"""


def load(folder=None, device=None, dtype=None, embeddings=None, compile=False):
    """Open a checkpoint: see minidiff.model.load. Here so that `import minidiff` stays instant."""
    from minidiff.model import load

    return load(folder, device, dtype, embeddings, compile)


def open(folder=None, device=None, dtype=None, embeddings=None, compile=False):
    """A checkpoint ready to draw: see minidiff.studio. `minidiff.open().draw("a cat")`."""
    from minidiff.studio import open_studio

    return open_studio(folder, device, dtype, embeddings, compile)
