"""The string below an attribute is its documentation."""

from __future__ import annotations

from preprocess.attribute_texts import read_attribute_texts
from preprocess.config import Data, Source


class Outer:
    first: int = 1
    """One line."""
    without: int
    second: str
    """Two
    lines."""

    class Inner:
        first: int
        """Of the inner class."""


def test_texts_of_a_class() -> None:
    assert read_attribute_texts(Outer) == {"first": "One line.", "second": "Two\nlines."}
    assert read_attribute_texts(Outer.Inner) == {"first": "Of the inner class."}


def test_a_class_in_a_function() -> None:
    class Local:
        name: str
        """Its name."""

    assert read_attribute_texts(Local) == {"name": "Its name."}


def test_classes_without_source() -> None:
    assert read_attribute_texts(int) == {}
    assert read_attribute_texts(type("Made", (), {})) == {}


def test_fields_of_a_model_and_of_its_base() -> None:
    class More(Data):
        extra: int = 1
        """More."""

    found = More.describe_fields()
    assert found["extra"] == "More."
    assert found["train"] == Data.describe_fields()["train"]
    assert found.keys() == More.model_fields.keys()


def test_the_json_schema_has_the_texts() -> None:
    properties = Source.model_json_schema()["properties"]
    assert properties["converter"]["description"] == Source.describe_fields()["converter"]
    assert all("description" in each for each in properties.values())
