"""Makes tools/architectures/framework_code.npy: python -m benchmarks.boilerplate [FOLDER...].

The fingerprints of the modelling code that the installed transformers, and other copies of it in the folders, hold:
what two repositories may share because both began from the framework. Old versions matter, since the code beside
weights was copied when they were new.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import transformers

from tools.source_code import FRAMEWORK_CODE, Unreadable, fingerprints


def main(folders: Sequence[str]) -> None:
    """Read every Python file, write the sorted distinct fingerprints."""
    found: set[int] = set()
    for folder in (Path(transformers.__file__).parent, *map(Path, folders)):
        for path in sorted(folder.rglob("*.py")):
            try:
                found.update(fingerprint.value for fingerprint in fingerprints(path.read_bytes()))
            except Unreadable:
                print(f"left out: {path.name}", file=sys.stderr)
        print(f"{len(found)} fingerprints with {folder.name}", file=sys.stderr)
    np.save(FRAMEWORK_CODE, np.array(sorted(found), dtype=np.uint32))


if __name__ == "__main__":
    main(sys.argv[1:])
