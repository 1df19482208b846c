"""minidiff against the libraries that define the official model: `make parity`.

    python -m tests.parity                           everything that needs no official weights
    MINIDIFF_WEIGHTS=folder python -m tests.parity   also a checkpoint of the user's

Needs diffusers, transformers, beautifulsoup4 and ftfy, and fails without them. Nothing is skipped.
"""
