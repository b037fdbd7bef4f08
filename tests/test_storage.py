"""Files as the stages write them."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from atnet.partial_files import partial_path
from atnet.storage import csv_text, write_text


def test_csv_files_hold_the_same_values_but_no_formula() -> None:
    table = pd.DataFrame(
        {
            "=label": ["=cmd|' /C calc'!A0", "-1", None],
            "count": [1, -2, 3],
            "rating": [0.5, -1.25, None],
        }
    )
    assert csv_text(table) == "'=label,count,rating\n'=cmd|' /C calc'!A0,1,0.5\n-1,-2,-1.25\n,3,\n"


def test_ordinary_tables_are_written_as_pandas_writes_them() -> None:
    table = pd.DataFrame({"label": ["a", "b,c"], "share": [0.1, 1e-9], "whole": pd.Series([1, 2], dtype=object)})
    assert csv_text(table) == table.to_csv(index=False, lineterminator="\n")


def test_a_write_removes_what_killed_processes_have_left_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.csv"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    mine = partial_path(target)
    running, abandoned = (
        mine.with_name(mine.name.replace(f"-{os.getpid()}.", f"-{number}.")) for number in (os.getppid(), ended.pid)
    )
    elsewhere = abandoned.with_name(f".file.csv.another_host-{ended.pid}.part")
    own = tmp_path / ".file.csv.part"
    for path in (running, abandoned, elsewhere, own):
        path.write_text("partial")
    write_text(target, "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in (target, running, elsewhere, own)
    )
