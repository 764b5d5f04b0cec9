"""The order of measurements: contenders take short turns in one run, so that a slow minute hits all of them alike."""

from collections.abc import Callable, Mapping, Sequence


def interleave(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """One value per contender and round, after a round for warming up that does not count.

    Every other round goes through the contenders backwards: a drift of the machine favours none of them.
    """
    for measure in contenders.values():
        measure()
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            values[name].append(contenders[name]())
    return values


def ratios(values: Sequence[float], references: Sequence[float]) -> list[float]:
    """Each value over the reference of its own round."""
    return [value / reference for value, reference in zip(values, references, strict=True)]


def differences(values: Sequence[float], references: Sequence[float]) -> list[float]:
    """Each value less the reference of its own round."""
    return [value - reference for value, reference in zip(values, references, strict=True)]
