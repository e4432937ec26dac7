"""What a record says of a step's outputs."""

from pathlib import Path

from pipelines.digests import Digests
from pipelines.run import record
from pipelines.run.plan import Step
from pipelines.trainers.base import Launch


def test_outputs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    outputs = []
    for stage in ("one", "two"):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "prompts.json").write_text(stage)
        outputs.append(tmp_path / stage / "prompts.json")
    step = Step("prompts", "count", None, None, tmp_path, Launch(("true",)), outputs=(*outputs, tmp_path / "two"))
    digests = record.digest_outputs(step, Digests(tmp_path / "digests.json"))
    assert list(digests) == ["one/prompts.json", "two/prompts.json", "two"]
    assert len(set(digests.values())) == 3
