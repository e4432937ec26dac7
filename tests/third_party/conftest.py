"""The tools are scripts: their folder is the import path."""

from __future__ import annotations

import sys

from tests import ROOT

sys.path.insert(0, str(ROOT / "third_party" / "tools"))
