"""What pyproject.toml cannot say: weights/ lies beside the package, and is installed inside it."""

from setuptools import find_packages, setup

SHIPPED = "minidiff.shipped_weights"

setup(
    packages=[*find_packages(include=["minidiff*"]), SHIPPED],
    package_dir={SHIPPED: "weights"},
    # `pip install -e`: the clone on sys.path, and no import hook. A hook is asked last, so that in
    # the folder that holds the clone Python would take the folder minidiff/ for the package.
    options={"editable_wheel": {"mode": "compat"}},
)
