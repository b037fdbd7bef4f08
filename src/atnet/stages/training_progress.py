"""Show training progress: a bar on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType

from tqdm import tqdm

from atnet.network.training_state import Epoch


class StepProgress:
    """Shows the steps of the current epoch and a line for each finished epoch."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> "StepProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def step(self, done: int, steps: int, loss: float) -> None:
        """Update the bar; without a terminal nothing is shown."""
        if not self._terminal:
            return
        if self._bar is None:
            self._bar = tqdm(total=steps, unit="batch", leave=False)
        self._bar.update(done - self._bar.n)
        self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)

    def epoch(self, epoch: Epoch) -> None:
        """Print the finished epoch."""
        self._close()
        print(epoch_line(epoch), flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def epoch_line(epoch: Epoch) -> str:
    """Return the results of an epoch: two losses of the network, which compare, and the scores of the whole model."""
    return (
        f"epoch {epoch.epoch:>2}  network: train loss {epoch.train_loss:.4f}, validation loss "
        f"{epoch.network_validation_loss:.4f}  model: validation loss {epoch.validation_loss:.4f}, accuracy "
        f"{epoch.validation_accuracy:.1%}"
    )
