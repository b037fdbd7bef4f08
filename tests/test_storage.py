"""Files as the stages write them."""

import pandas as pd

from atnet.storage import csv_text


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
