"""The reference libraries: are they here, and how to keep them from chatting."""

import importlib.util
import warnings

NEEDED = {
    "diffusers": "diffusers",
    "transformers": "transformers",
    "bs4": "beautifulsoup4",
    "ftfy": "ftfy",
}


def missing() -> list[str]:
    """Names of the packages that are not installed."""
    return [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]


def quiet() -> None:
    """No progress bars, no advice; failures are still raised."""
    import diffusers
    import transformers
    from bs4 import MarkupResemblesLocatorWarning

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=MarkupResemblesLocatorWarning)
