"""The processes of this machine."""

import os


def is_alive(process: int) -> bool:
    """Tell whether a process of this number runs, whoever owns it."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
