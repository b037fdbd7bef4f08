"""One short command per DVC stage: read files, call the library, write files."""

import sys
from types import TracebackType


def _report_interrupt(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted. Run `dvc repro` to continue.", file=sys.stderr, flush=True)
    else:
        sys.__excepthook__(kind, error, trace)


# Active while `python -m atnet.stages.<stage>` is still importing, which takes ten seconds with TensorFlow: Ctrl-C
# would print a page of traceback then. Any other import of this package changes nothing.
if sys.argv[0] == "-m":
    sys.excepthook = _report_interrupt
