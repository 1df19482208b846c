"""What every abuse test shares: quick, repeatable examples, and a table of cases at the end."""

from collections import Counter
from functools import wraps

import torch
from children import HIT
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
settings.register_profile(
    "abuse",
    deadline=None,
    derandomize=True,
    max_examples=40,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("abuse")

CASES: Counter[str] = Counter()  # "module kind": how often its test ran, an example counted as one
FAILED: Counter[str] = Counter()
BY_EXAMPLE: set[str] = set()  # the kinds that hypothesis makes the cases of


def kind_of(nodeid: str) -> str:
    """tests/abuse/test_damage.py::test_cut_short[1] -> "damage: cut short"."""
    file, _, test = nodeid.partition("::")
    name = test.partition("[")[0].removeprefix("test_").replace("_", " ")
    return f"{file.rpartition('/test_')[2].removesuffix('.py').replace('_', ' ')}: {name}"


def pytest_itemcollected(item) -> None:
    """Count the examples of a hypothesis test where they run."""
    handle, kind = getattr(getattr(item, "obj", None), "hypothesis", None), kind_of(item.nodeid)
    if handle is not None and kind not in BY_EXAMPLE:
        handle.inner_test = counted(handle.inner_test, kind)
        BY_EXAMPLE.add(kind)


def counted(test, kind: str):
    @wraps(test)
    def run(*arguments, **named):
        CASES[kind] += 1
        return test(*arguments, **named)

    return run


def pytest_runtest_logreport(report) -> None:
    kind = kind_of(report.nodeid)
    if report.when == "call" and not report.skipped and kind not in BY_EXAMPLE:
        CASES[kind] += 1
    FAILED[kind] += report.failed


def pytest_terminal_summary(terminalreporter) -> None:
    write = terminalreporter.write_line
    terminalreporter.section("kinds of fault")
    for kind, cases in CASES.items():
        write(f"{kind:<62}{cases:>6}  {'FAILED' if FAILED[kind] else 'ok'}")
    if HIT:
        write("signals: " + ", ".join(f"{n} {name}" for name, n in sorted(HIT.items())))
    write(f"{'all':<62}{CASES.total():>6}  {'FAILED' if FAILED.total() else 'ok'}")
