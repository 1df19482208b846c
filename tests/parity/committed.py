"""tests/reference/ still holds what the reference libraries answer."""

from collections.abc import Iterator

from tests.make_reference import check as compare_with_committed
from tests.parity.table import Check


def checks() -> Iterator[Check]:
    check = Check("committed reference outputs, made anew", stated=6)
    for file, faults in compare_with_committed().items():
        check.equal(faults, [], f"{file}: {'; '.join(faults)}")
    yield check
