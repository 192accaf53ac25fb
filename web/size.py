"""Tells how large the built page is, compressed as it is sent; fails if that is more than it may be."""

import gzip
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "chalicelib" / "static"
MOST = 400_000

files = [path for path in FOLDER.rglob("*") if path.is_file()]
size = sum(len(gzip.compress(path.read_bytes())) for path in files)
print(f"The page has {size / 1000:.0f} kB, compressed; it may have {MOST / 1000:.0f} kB.", file=sys.stderr)
sys.exit(size > MOST)
