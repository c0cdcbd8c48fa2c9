"""What is told of many samples: their number, and the values that a half, most and all of them do not exceed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def quantiles(samples: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99 and max. Raises ValueError without a sample."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("no samples")
    return {
        **{name: ordered[int(len(ordered) * share)] for name, share in SHARES.items()},
        "max": ordered[-1],
    }


def told(samples: Sequence[float], unit: str) -> dict[str, float | int]:
    """The same as facts of a run, with the number of samples."""
    found = {f"{name}_{unit}": round(value, 3) for name, value in quantiles(samples).items()}
    return {"samples": len(samples), **found}


def histogram(samples: Iterable[float], bounds: Sequence[float]) -> dict[str, int]:
    """How many samples are below each bound and not below the one before; the last counts what is past all of them."""
    counts = dict.fromkeys([*(f"< {bound:g}" for bound in bounds), f">= {bounds[-1]:g}"], 0)
    for sample in samples:
        name = next((f"< {bound:g}" for bound in bounds if sample < bound), f">= {bounds[-1]:g}")
        counts[name] += 1
    return counts
