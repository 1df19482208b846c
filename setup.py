"""What pyproject.toml cannot say: weights/ lies beside the package, and is installed inside it."""

from setuptools import find_packages, setup

SHIPPED = "minidiff.shipped_weights"

setup(
    packages=[*find_packages(include=["minidiff*"]), SHIPPED],
    package_dir={SHIPPED: "weights"},
)
