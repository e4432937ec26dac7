"""Fenced blocks of Markdown, by the rules of CommonMark and as models write Python."""

from __future__ import annotations

import time

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
    ],
)
def test_blocks(text: str, blocks: list[Block]) -> None:
    assert read_blocks(text) == blocks


DOCSTRING = '"""\n```\nx\n```\n"""\nx = 1\n'
FENCED = r"""def f():
    r'''See:
    ```
    f() \'''
    ```
    '''
    # it's ```
    return "```"
"""


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        # In a string.
        (f"```python\n{DOCSTRING}```\nSo.\n```\n1\n```", [Block("python", DOCSTRING), Block("", "1\n")]),
        (f"```\n{DOCSTRING}```", [Block("", DOCSTRING)]),
        (f"```python\n{FENCED}```", [Block("python", FENCED)]),
        ('```python\n"""open\n```\nSo:\n```python\nx = 1\n```', [Block("python", '"""open\n'), X]),
        ('```python\n"""open\n```\n```python\n"""a"""\n```', [Block("python", '"""open\n'), Block("python", '"""a"""\n')]),
        ("```text\n'''\n```\n'''", [Block("text", "'''\n")]),
        ("```python\n# '''\nx = \"'''\"\n```\n'''", [Block("python", "# '''\nx = \"'''\"\n")]),
        # At the end of a line of code.
        ("```python\nx = 1```", [X]),
        ("```python\nx = 1 ```  \nIt prints:\n```\n1\n```", [X, Block("", "1\n")]),
        ("  ```python\n  if y:\n    x = 1````\n", [Block("python", "if y:\n  x = 1\n")]),
        ("~~~python\nx = 1~~~", [X]),
        ("```python\nx = '```'\n```", [Block("python", "x = '```'\n")]),
        ("```python\nx = 1  # a ```\n```", [Block("python", "x = 1  # a ```\n")]),
        ('```python\n"""\na ```\n"""\n```', [Block("python", '"""\na ```\n"""\n')]),
        ("```text\na```\n```", [Block("text", "a```\n")]),
        ("````python\nx = 1```\n````", [Block("python", "x = 1```\n")]),
        # After the language.
        ("```python x = f(1)\nx\n```", [Block("python", "x = f(1)\nx\n")]),
        ("```python x = 1\n```", [X]),
        ("```Python3 def f(x):\n    return x\n```", [Block("python3", "def f(x):\n    return x\n")]),
        ("```py import sys\n```", [Block("py", "import sys\n")]),
        ("```python x = 1```", [X]),
        ("```python print('```')```", [Block("python", "print('```')\n")]),
        ("```python main.py\nx = 1\n```", [X]),
        ("```python title=main.py\nx = 1\n```", [X]),
        ('```python title="a b.py"\nx = 1\n```', [X]),
        ("```python {1,2}\nx = 1\n```", [X]),
        ("```python # main.py\nx = 1\n```", [X]),
        ("```python a``` b", []),
        ("```text print(1)\nx\n```", [Block("text", "x\n")]),
        # After other text.
        ("The code: ```python\nx = 1\n```", [X]),
        ("text ```python\nx = 1", [Block("python", "x = 1")]),
        ("- The code: ```python\nx = 1\n```", [X]),
        ("I write ```python\nfirst.\n```python\nx = 1\n```", [X]),
        ("The code: ```\nx = 1", []),
        ("`a` ```python\nx = 1", []),
    ],
)
def test_blocks_as_models_write_them(text: str, blocks: list[Block]) -> None:
    assert read_blocks(text) == blocks


@pytest.mark.parametrize(
    ("begin", "part", "end", "count"),
    [
        ("", '```python\n"""\n```\n', "", 20_000),
        ("", '```python\n"""a```\n', "", 20_000),
        ("```python\n", r"'\'", "```", 300_000),
        ("```python\n'", r"\'", "\\\n```", 300_000),
        ("```python\n'''", "\\", "'```\n```", 500_000),
        ("", "a ```python\n", "", 20_000),
        ("", "a ```python\n", "```a", 20_000),
        ("", "```python x```y", "", 50_000),
        ("", "```python x(\n```\n", "", 5_000),
        ("```python\n", "a```b\n", "", 100_000),
        ("", "a ```python ", "", 50_000),
        ("", "a", "```x", 300_000),
        ("```python ", "a", "```", 300_000),
    ],
)
def test_hostile_text_costs_linear_time(begin: str, part: str, end: str, count: int) -> None:
    def measure(count: int) -> float:
        text = begin + part * count + end
        started = time.thread_time()
        read_blocks(text)
        return time.thread_time() - started

    assert min(measure(count) for _ in range(2)) < 30 * max(min(measure(count // 8) for _ in range(2)), 0.01)


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


@pytest.mark.parametrize(
    "code", ["x = 1", '"""\n```python\nx\n```\n"""', '"""\n  `````\n"""', "x = '```'", '"""\n~~~\n"""', "x```"]
)
def test_written_block_is_read_again(code: str) -> None:
    assert read_blocks(f"Text.\n{write_block(code)}\nText.") == [Block("python", f"{code}\n")]
