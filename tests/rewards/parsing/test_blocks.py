"""Fenced blocks of Markdown, by the rules of CommonMark."""

from __future__ import annotations

import pytest

from rewards.parsing.blocks import Block, read_blocks, write_block

X = Block("python", "x = 1\n")


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("```python\nx = 1\n```", [X]),
        ("``` python\nx = 1\n```", [X]),
        ("```Python\nx = 1\n```", [X]),
        ('```python title="x.py" {1,2}\nx = 1\n```', [X]),
        ("```{.python .numberLines}\nx = 1\n```", [X]),
        ("```python:main.py\nx = 1\n```", [X]),
        ("```python3.12\nx = 1\n```", [Block("python3", "x = 1\n")]),
        ("````python\nx = 1\n````", [X]),
        ("```python\nx = 1\n``````", [X]),
        ("```python\nx = 1\n```  \t", [X]),
        ("~~~python\nx = 1\n~~~", [X]),
        ("~~~ python `a`\nx = 1\n~~~", [X]),
        ("   ```python\n   x = 1\n   ```", [X]),
        (" ```python\n x = 1\n ```", [X]),
        ("   ```python\nx = 1\n```", [X]),
        ("```python\nx = 1\n   ```", [X]),
        ("1. so\n\n   ```python\n   x = 1\n   ```", [X]),
        ("10. so\n\n    ```python\n    x = 1\n    ```", [X]),
        ("1. so\n    ```python\n    x = 1\n    ```", [X]),
        ("- a\n  - b\n\n    ```python\n    x = 1\n    ```", [X]),
        ("- ```python\n  x = 1\n  ```", [X]),
        ("```python\nx = 1\n", [X]),
        ("```python\nx = 1", [Block("python", "x = 1")]),
        ("```\nx = 1\n```", [Block("", "x = 1\n")]),
        ("```python\n```", [Block("python", "")]),
        ("````python\n```\nx\n```\n````", [Block("python", "```\nx\n```\n")]),
        ("```python\n~~~\n```", [Block("python", "~~~\n")]),
        ("```python\n    ```\n```", [Block("python", "    ```\n")]),
        ("```a\n```\n~~~b\n~~~", [Block("a", ""), Block("b", "")]),
        # Not fences.
        ("`x`", []),
        ("``\nx\n``", []),
        ("```x```", []),
        ("    ```python\n    x = 1\n    ```", []),
        ("text ```python\nx = 1", []),
    ],
)
def test_blocks(text: str, blocks: list[Block]) -> None:
    assert read_blocks(text) == blocks


@pytest.mark.parametrize(
    ("language", "is_python"),
    [
        ("python", True),
        ("py", True),
        ("python3", True),
        ("python-3", True),
        ("ipython", True),
        ("", False),
        ("pycon", False),
        ("text", False),
    ],
)
def test_python(language: str, is_python: bool) -> None:
    assert Block(language, "").is_python is is_python


@pytest.mark.parametrize("code", ["x = 1", '"""\n```python\nx\n```\n"""', '"""\n  `````\n"""', "x = '```'", '"""\n~~~\n"""'])
def test_written_block_is_read_again(code: str) -> None:
    assert read_blocks(f"Text.\n{write_block(code)}\nText.") == [Block("python", f"{code}\n")]
