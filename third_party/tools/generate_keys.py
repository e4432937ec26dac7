"""Write third_party/*/*keys.json and templates.json from the pinned sources.

    python third_party/tools/generate_keys.py VERL VERL_PACKAGES LLAMAFACTORY LLAMAFACTORY_PACKAGES

VERL and LLAMAFACTORY are the checkouts, the others the `site-packages` of their environments.
"""

from __future__ import annotations

import sys
from pathlib import Path

from key_files import render_llamafactory, render_templates, render_verl, render_verl_sft

from pipelines.recipe.upstream_keys import KEY_FILES, TEMPLATES_FILE


def main(verl: str, verl_packages: str, llamafactory: str, llamafactory_packages: str) -> None:
    KEY_FILES["verl"].write_text(render_verl(Path(verl), Path(verl_packages)), encoding="utf-8")
    KEY_FILES["verl_sft"].write_text(render_verl_sft(Path(verl), Path(verl_packages)), encoding="utf-8")
    rendered = render_llamafactory(Path(llamafactory), Path(llamafactory_packages))
    KEY_FILES["llamafactory"].write_text(rendered, encoding="utf-8")
    TEMPLATES_FILE.write_text(render_templates(Path(llamafactory)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
