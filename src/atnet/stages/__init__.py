"""One thin command per DVC stage: read files, call one library function, write files."""

import sys
from types import TracebackType


def _tell_interrupt(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted. Run `dvc repro` to go on.", file=sys.stderr, flush=True)
    else:
        sys.__excepthook__(kind, fault, trace)


# So it stands while `python -m atnet.stages.<stage>` is still importing, which takes TensorFlow ten seconds:
# Ctrl-C in that time would print a page of traceback. Any other import of this package changes nothing.
if sys.argv[0] == "-m":
    sys.excepthook = _tell_interrupt
