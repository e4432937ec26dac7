"""Tests of the project, in folders that mirror its rooms."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
