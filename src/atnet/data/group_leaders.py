"""Merge numbered items into groups, pair by pair, with four bytes per item.

Letters in array names: U items, K pairs.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]


class GroupLeaders:
    """A union-find forest whose root is the lowest item of its group."""

    def __init__(self, items: int) -> None:
        self._parents_U = np.arange(items, dtype=np.int32)

    def find(self, items_K: Ints) -> Ints:
        """Return the lowest item of the group of each item, (K,)."""
        roots = self._parents_U[items_K]
        while True:
            parents = self._parents_U[roots]
            if np.array_equal(parents, roots):
                break
            roots = parents
        self._parents_U[items_K] = roots
        return roots.astype(np.int64)

    def merge(self, left_K: Ints, right_K: Ints) -> None:
        """Merge the groups of both items of each pair."""
        if len(left_K) == 0:
            return
        nodes, edges = np.unique(np.concatenate([self.find(left_K), self.find(right_K)]), return_inverse=True)
        ends = edges[: len(left_K)], edges[len(left_K) :]
        graph = coo_array((np.ones(len(left_K), dtype=bool), ends), shape=(len(nodes), len(nodes)))
        _, component = connected_components(graph, directed=False)
        # Nodes ascend, so the first node of a component is its lowest.
        _, lowest = np.unique(component, return_index=True)
        self._parents_U[nodes] = nodes[lowest][component]

    def leaders(self) -> NDArray[np.int32]:
        """Return the lowest item of each item's group, (U,)."""
        parents = self._parents_U
        while not np.array_equal(grand := parents[parents], parents):
            parents = grand
        self._parents_U = parents
        return parents
