"""Which patch answers for which object: the one-to-one assignment of the least total cost.

The Hungarian method by shortest augmenting paths (Jonker and Volgenant 1987, https://doi.org/10.1007/BF02278710): one
object after the other takes the patch that costs least once those before may move to others.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float64]


def assign(costs: NDArray[Any]) -> NDArray[np.int64]:
    """Costs `[objects, patches]`, finite and with no more objects than patches -> the patch of each object."""
    objects, patches = costs.shape
    costs = costs.astype(np.float64)
    prices, debts = np.zeros(patches), np.zeros(objects)
    owners = np.full(patches, -1)
    for newcomer in range(objects):
        _place(newcomer, costs, owners, prices, debts)
    taken = np.flatnonzero(owners >= 0)
    return taken[np.argsort(owners[taken])]


def _place(newcomer: int, costs: Costs, owners: NDArray[np.int64], prices: Costs, debts: Costs) -> None:
    """Find the cheapest path from `newcomer` over owned patches to a free one, and let everyone on it move along."""
    distances, visited = np.full(len(owners), np.inf), np.zeros(len(owners), dtype=bool)
    sources = np.full(len(owners), -1)  # the patch before each on its path
    owner, patch, distance = newcomer, -1, 0.0
    while True:
        further = distance + costs[owner] - debts[owner] - prices
        better = ~visited & (further < distances)
        distances[better], sources[better] = further[better], patch
        patch = int(np.where(visited, np.inf, distances).argmin())
        distance, owner = distances[patch], int(owners[patch])
        if owner < 0:
            break
        visited[patch] = True
    debts[newcomer] += distance
    debts[owners[visited]] += distance - distances[visited]
    prices[visited] -= distance - distances[visited]
    while patch >= 0:
        before = sources[patch]
        owners[patch] = owners[before] if before >= 0 else newcomer
        patch = before
