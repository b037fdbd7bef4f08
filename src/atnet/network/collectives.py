"""Sums over the workers of a data-parallel training.

Of TensorFlow's `MultiWorkerMirroredStrategy` only the cluster and its collective operations are used. Variables are
made outside of its scope: every worker has its own copy and updates it in the same way.
"""

import contextlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


class Collectives:
    """The connection of a worker with the others; each call waits until all workers have made it."""

    def __init__(self, addresses: Sequence[str], index: int) -> None:
        """Connect with the other workers; waits for them. Call it before anything else of TensorFlow.

        Args:
            addresses: `host:port` of each worker.
            index: position of this worker; worker 0 is the chief.
        """
        cluster = tf.train.ClusterSpec({"worker": list(addresses)})
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            cluster, task_type="worker", task_id=index, rpc_layer="grpc"
        )
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        self.index, self.size = index, len(addresses)
        self._sum = tf.function(self._all_reduce, input_signature=[tf.TensorSpec((None,), tf.float64)])

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the checkpoint and the metrics."""
        return self.index == 0

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Add up arrays of the same shape, in float64."""
        total: np.ndarray = self._sum(np.asarray(values, np.float64).reshape(-1)).numpy().reshape(np.shape(values))
        return total

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Return the arrays (N,) of all workers, (W, N) float64."""
        rows = np.zeros((self.size, len(values)))
        rows[self.index] = values
        return self.sum(rows)

    def broadcast(self, values: np.ndarray) -> np.ndarray:
        """Return the chief's array (N,) in float64; the other workers pass any array."""
        length = int(self.sum(np.array([len(values) if self.is_chief else 0]))[0])
        return self.sum(values if self.is_chief else np.zeros(length))

    def wait_for_all(self) -> None:
        """Wait until all workers have the results of the last operation, after which they may end in any order."""
        with contextlib.suppress(tf.errors.OpError):  # a worker that has ended already had them
            self.sum(np.zeros(1))

    def _all_reduce(self, values: tf.Tensor) -> tf.Tensor:
        def replica(values: tf.Tensor) -> tf.Tensor:
            # identity: the strategy needs a tensor that is placed on a device.
            return tf.distribute.get_replica_context().all_reduce("sum", tf.identity(values))

        return self.strategy.run(replica, args=(values,))
