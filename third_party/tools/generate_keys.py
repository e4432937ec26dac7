"""Writes third_party/*/*keys.json and templates.json anew: `python -m pipelines.recipe.keys VERL LLAMAFACTORY TRANSFORMERS`.

The three are verl's checkout, LLaMA-Factory's checkout and the `transformers` package of LLaMA-Factory's environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.recipe.chat_templates import FILE
from pipelines.recipe.keys.document import render_llamafactory, render_templates, render_verl, render_verl_sft
from pipelines.recipe.upstream_keys import KEYS


def main(verl: str, llamafactory: str, transformers: str) -> None:
    KEYS["verl"].write_text(render_verl(Path(verl)), encoding="utf-8")
    KEYS["verl_sft"].write_text(render_verl_sft(Path(verl)), encoding="utf-8")
    KEYS["llamafactory"].write_text(render_llamafactory(Path(llamafactory), Path(transformers)), encoding="utf-8")
    FILE.write_text(render_templates(Path(llamafactory)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
