"""Versions of installed distributions, our own among them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version(package: str) -> str | None:
    """Return the version of an installed distribution, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


__version__ = installed_version("unetzoo") or "unknown"  # stated once, in pyproject.toml
