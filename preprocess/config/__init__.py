"""Configuration that a recipe and a preparation's prepare.json share: the `data:` section, `sandbox:` and their text fields.

Other rooms use the models of `sections`, which this package exports, and the types of `text_fields`.
"""

from preprocess.config.sections import (
    ComparedSet,
    Data,
    Decontamination,
    FilePath,
    Location,
    Model,
    Overlong,
    PassRates,
    PathRule,
    Revision,
    Sandbox,
    Source,
    Split,
)

__all__ = [
    "ComparedSet",
    "Data",
    "Decontamination",
    "FilePath",
    "Location",
    "Model",
    "Overlong",
    "PassRates",
    "PathRule",
    "Revision",
    "Sandbox",
    "Source",
    "Split",
]
