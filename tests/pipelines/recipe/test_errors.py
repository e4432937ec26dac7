"""Each mistake is one line: file:line, key, what was found, what was expected, the nearest valid value."""

from __future__ import annotations

import pytest

from pipelines.recipe.algorithms import ALGORITHMS
from rewards.suggestions import any_of

from .conftest import RECIPE, Write, problems

# Text of the small recipe, its replacement, and the line of the error.
CASES = {
    "unknown key": (
        "learning_rate: 1e-5",
        "learning_rat: 1e-5",
        "x.yaml:10: stages.sft.learning_rat: unknown key; did you mean 'learning_rate'?",
    ),
    "unknown key at the top": ("name: small", "nam: small", "x.yaml:1: nam: unknown key; did you mean 'name'?"),
    "unknown key that exists one level down": (
        "reward: white_box",
        "reward: white_box\n    samples: 4",
        "x.yaml:19: stages.rl.samples: unknown key here; did you mean 'rollout.samples'?",
    ),
    "unknown key without a similar one": (
        "{fraction: 0.02}",
        "{zzz: 1, fraction: 0.02}",
        "x.yaml:8: stages.sft.data.validation.zzz: unknown key; expected fraction",
    ),
    "missing key": (
        "    learning_rate: 1e-5\n",
        "",
        "x.yaml:4: stages.sft: missing key learning_rate (Peak learning rate)",
    ),
    "text for a number": (
        "epochs: 2",
        "epochs: '2'",
        "x.yaml:9: stages.sft.epochs: found the text '2', expected a number",
    ),
    "boolean for a number": (
        "steps: 4",
        "steps: true",
        "x.yaml:19: stages.rl.steps: found true, expected a whole number",
    ),
    "fraction for a whole number": (
        "steps: 4",
        "steps: 4.5",
        "x.yaml:19: stages.rl.steps: found 4.5, expected a whole number",
    ),
    "number for text": ("name: small", "name: 7", "x.yaml:1: name: found 7, expected text; put it in quotes"),
    "list for a mapping": (
        "batch: {prompts: 8, mini: 4}",
        "batch: [8, 4]",
        "x.yaml:21: stages.rl.batch: found a list, expected a mapping",
    ),
    "too small": ("steps: 4", "steps: 0", "x.yaml:19: stages.rl.steps: found 0, expected at least 1"),
    "zero temperature": (
        "samples: 8",
        "samples: 8, temperature: 0",
        "x.yaml:22: stages.rl.rollout.temperature: found 0, expected more than 0",
    ),
    "not above": (
        "learning_rate: 1e-5",
        "learning_rate: 0",
        "x.yaml:10: stages.sft.learning_rate: found 0, expected more than 0",
    ),
    "too large": (
        "{fraction: 0.02}",
        "{fraction: 1.5}",
        "x.yaml:8: stages.sft.data.validation.fraction: found 1.5, expected less than 1",
    ),
    "choice": (
        "algorithm: grpo",
        "algorithm: grop",
        f"x.yaml:14: stages.rl.algorithm: found 'grop', expected {any_of(ALGORITHMS)}; did you mean 'grpo'?",
    ),
    "kind": (
        "kind: sft",
        "kind: sfft",
        "x.yaml:5: stages.sft.kind: found 'sfft', expected sft or rl; did you mean 'sft'?",
    ),
    "no kind": ("    kind: sft\n", "", "x.yaml:4: stages.sft: missing key kind: sft or rl"),
    "rule across keys": (
        "epochs: 2",
        "epochs: 2\n    steps: 3",
        "x.yaml:4: stages.sft: set either `epochs` or `steps`",
    ),
    "rule across mappings": (
        "mini: 4",
        "mini: 3",
        "x.yaml:12: stages.rl: batch.prompts 8 is not a multiple of batch.mini 3",
    ),
    "keep_best: validations between checkpoints": (
        "llamafactory: {warmup_ratio: 0.1}",
        "trainer: verl\n    keep_best: true\n    save_every: 300\n    validate_every: 200",
        "x.yaml:4: stages.sft: keep_best: save_every 300 is not a multiple of validate_every 200, so some checkpoints "
        "would not be validated; the nearest valid save_every is 400",
    ),
    "keep_best without validation": (
        "steps: 4",
        "steps: 4\n    keep_best: true\n    save_every: 2",
        "x.yaml:12: stages.rl: keep_best requires `save_every` and `validate_every`; set validate_every",
    ),
    "validation without validations": (
        "steps: 4",
        "steps: 4\n    validation: {samples: 4}",
        "x.yaml:12: stages.rl: validation requires `validate_every`",
    ),
    "samples of a greedy validation": (
        "steps: 4",
        "steps: 4\n    validate_every: 2\n    validation: {samples: 4, temperature: 0}",
        "x.yaml:12: stages.rl: validation.samples is 4: at temperature 0 all samples of a prompt are the same; "
        "remove `temperature`, or set it above 0",
    ),
    "keep_best: validations that LLaMA-Factory does not save": (
        "epochs: 2",
        "epochs: 2\n    keep_best: true\n    save_every: 400\n    validate_every: 200",
        "x.yaml:4: stages.sft: keep_best: LLaMA-Factory compares every validation, so each must be saved: save_every is 400, "
        "validate_every 200; set them to the same value",
    ),
    "packing with flash attention": (
        "llamafactory: {warmup_ratio: 0.1}",
        "packing: true\n    batch: {per_device: 4, accumulate: 2}\n    llamafactory: {flash_attn: fa2}",
        "x.yaml:4: stages.sft: packing: with flash_attn: fa2, LLaMA-Factory supports one sequence per device; "
        "batch.per_device is 4: set per_device: 1, accumulate: 8",
    ),
    "keys of LLaMA-Factory where verl trains": (
        "epochs: 2",
        "epochs: 2\n    trainer: verl",
        "x.yaml:12: stages.sft.llamafactory: verl trains this stage, not llamafactory; use `verl`",
    ),
    "keys of verl where LLaMA-Factory trains": (
        "llamafactory: {warmup_ratio: 0.1}",
        "verl: {optim.weight_decay: 0.1}",
        "x.yaml:11: stages.sft.verl: llamafactory trains this stage, not verl; use `llamafactory`",
    ),
    "unknown key of verl's SFT trainer": (
        "llamafactory: {warmup_ratio: 0.1}",
        "trainer: verl\n    verl: {optim.weight_decy: 0.1}",
        "x.yaml:12: stages.sft.verl.optim.weight_decy: unknown key; did you mean 'weight_decay'?",
    ),
    "reserved key of verl's SFT trainer": (
        "llamafactory: {warmup_ratio: 0.1}",
        "trainer: verl\n    verl: {optim.lr: 0.1}",
        "x.yaml:12: stages.sft.verl.optim.lr: set by the recipe's `learning_rate`; use that instead",
    ),
    "unknown trainer": (
        "kind: sft",
        "kind: sft\n    trainer: vrel",
        "x.yaml:6: stages.sft.trainer: found 'vrel', expected llamafactory or verl; did you mean 'verl'?",
    ),
    "template where verl trains": (
        "llamafactory: {warmup_ratio: 0.1}",
        "trainer: verl\n    template: qwen",
        "x.yaml:4: stages.sft: template qwen is for LLaMA-Factory; verl uses the tokenizer's chat template: remove `template`",
    ),
    "unknown DeepSpeed name": (
        "{warmup_ratio: 0.1}",
        "{deepspeed: zer3}",
        "x.yaml:11: stages.sft.llamafactory.deepspeed: found 'zer3', expected zero0, zero2, zero2_offload, zero3 or "
        "zero3_offload, or the path of a .json file; did you mean 'zero3'?",
    ),
    "bad name": (
        "name: small",
        "name: a/b",
        "x.yaml:1: name: found 'a/b', expected letters, digits, '.', '_' and '-', starting with a letter or a digit",
    ),
    "two stages with one name": ("name: rl", "name: sft", "x.yaml:1: two stages are named 'sft'"),
    "init_from: unknown stage": (
        "algorithm: grpo",
        "algorithm: grpo\n    init_from: stf",
        "x.yaml:15: stages.rl.init_from: stage 'stf' not found; did you mean 'sft'? "
        "or a model folder (./model) or a hub name (owner/name)",
    ),
    "init_from: later stage": (
        "epochs: 2",
        "epochs: 2\n    init_from: rl",
        "x.yaml:10: stages.sft.init_from: stage 'rl' comes later; expected a model folder (./model) or a hub name (owner/name)",
    ),
    "unset variable": (
        "epochs: 2",
        "epochs: ${env:SURELY_NOT_SET}",
        "x.yaml:9: stages.sft.epochs: the environment variable SURELY_NOT_SET is not set; set it, or write "
        "${env:SURELY_NOT_SET:default}",
    ),
    "malformed variable": (
        "source: data/sft.json",
        "source: '${env:NO'",
        "x.yaml:7: stages.sft.data.train.source: found '${env:NO'; a variable is written ${env:NAME} or ${env:NAME:default}",
    ),
    "duplicate key": (
        "    epochs: 2\n",
        "    epochs: 2\n    epochs: 3\n",
        "x.yaml:10: stages.0.epochs: duplicate key; first in line 9",
    ),
    "duplicate key, dotted and nested": (
        "{actor_rollout_ref.rollout.enforce_eager: true}",
        "{trainer.val_only: true, trainer: {val_only: false}}",
        "x.yaml:23: trainer.val_only: duplicate key; first at x.yaml:23",
    ),
    "not YAML": ("epochs: 2", "epochs: [2", "x.yaml:10: not valid YAML: "),
    "unknown tag": ("epochs: 2", "epochs: !!python/name:os.system 2", "x.yaml:9: stages.0.epochs: unknown tag "),
    "nothing to remove": (
        "epochs: 2",
        "epochs: !remove",
        "x.yaml:9: stages.sft.epochs: !remove: nothing to remove, no extended recipe sets this",
    ),
    "extends: missing file": (
        "name: small",
        "extends: smll.yaml",
        "x.yaml:1: extends: smll.yaml: recipe file not found; did you mean 'small.yaml'?",
    ),
    "unknown verl key": (
        "enforce_eager: true",
        "enforce_eagr: true",
        "x.yaml:23: stages.rl.verl.actor_rollout_ref.rollout.enforce_eagr: unknown key; did you mean 'enforce_eager'?",
    ),
    "verl key without its group": (
        "{actor_rollout_ref.rollout.enforce_eager: true}",
        "{rollout: {enforce_eager: true}}",
        "x.yaml:23: stages.rl.verl.rollout: unknown key; did you mean 'actor_rollout_ref.rollout'?",
    ),
    "wrong type of a verl key": (
        "enforce_eager: true",
        "max_num_seqs: 'many'",
        "x.yaml:23: stages.rl.verl.actor_rollout_ref.rollout.max_num_seqs: found the text 'many', expected a whole number "
        "(the default is 256)",
    ),
    "reserved verl key": (
        "enforce_eager: true",
        "n: 4",
        "x.yaml:23: stages.rl.verl.actor_rollout_ref.rollout.n: set by the recipe's `rollout.samples`; use that instead",
    ),
    "obsolete verl key": (
        "{actor_rollout_ref.rollout.enforce_eager: true}",
        "{custom_reward_function: {path: mine.py}}",
        "x.yaml:23: stages.rl.verl.custom_reward_function: verl 0.9.1 ignores this silently; use the stage's `reward`",
    ),
    "verl key of another engine": (
        "{actor_rollout_ref.rollout.enforce_eager: true}",
        "{actor_rollout_ref.actor.megatron.seed: 1}",
        "x.yaml:23: stages.rl.verl.actor_rollout_ref.actor.megatron.seed: only valid with model_engine megatron; "
        "this stage uses dp",
    ),
    "unknown LLaMA-Factory key": (
        "warmup_ratio",
        "warmup_ration",
        "x.yaml:11: stages.sft.llamafactory.warmup_ration: unknown key; did you mean 'warmup_ratio'?",
    ),
    "wrong choice of a LLaMA-Factory key": (
        "warmup_ratio: 0.1",
        "mix_strategy: concatenate",
        "x.yaml:11: stages.sft.llamafactory.mix_strategy: found 'concatenate', expected concat, interleave_under, "
        "interleave_over or interleave_once; did you mean 'concat'?",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_mistake_is_one_line(name: str, write: Write) -> None:
    before, after, expected = CASES[name]
    assert before in RECIPE
    [line] = problems(write("x.yaml", RECIPE.replace(before, after, 1)))
    # A list of valid values or the YAML parser's message may follow.
    assert line.startswith(expected) if expected.endswith((" ", "?")) else line == expected


def test_all_mistakes_are_reported_in_the_order_of_the_files(write: Write) -> None:
    write("base.yaml", RECIPE.replace("epochs: 2", "epochs: 0").replace("reward: white_box", "reward: 3"))
    path = write(
        "x.yaml",
        """\
        extends: base.yaml
        sed: 3
        stages:
          - name: rl
            steps: none
            verl: {data.shufle: true, data.seed: 1}
          - {name: sft, llamafactory: {do_predict: 2}}
        """,
    )
    assert problems(path, "hardware.node=2", "model=3") == [
        "x.yaml:2: sed: unknown key; did you mean 'seed'?",
        "x.yaml:5: stages.rl.steps: found the text 'none', expected a whole number",
        "x.yaml:6: stages.rl.verl.data.shufle: unknown key; did you mean 'shuffle'?",
        "x.yaml:6: stages.rl.verl.data.seed: set by the recipe's top-level `seed`; use that instead",
        "x.yaml:7: stages.sft.llamafactory.do_predict: found 2, expected true or false (the default is false)",
        "base.yaml:9: stages.sft.epochs: found 0, expected more than 0",
        "base.yaml:18: stages.rl.reward: found 3, expected text; put it in quotes",
        "--set hardware.node: unknown key; did you mean 'nodes'?",
    ]


def test_circular_references(write: Write) -> None:
    write("a.yaml", "extends: b.yaml\n")
    write("b.yaml", "\nextends: [small.yaml, a.yaml]\n")
    assert problems("a.yaml") == ["b.yaml:2: extends: circular reference: a.yaml -> b.yaml -> a.yaml"]
    assert problems(write("me.yaml", "extends: me.yaml\n")) == ["me.yaml:1: extends: circular reference: me.yaml -> me.yaml"]


def test_invalid_files(write: Write) -> None:
    assert problems(write("x.yaml", "- a\n")) == [
        "x.yaml:1: found a list, expected a mapping with the keys name, model, stages …"
    ]
    assert problems(write("x.yaml", "")) == [
        "x.yaml:1: missing key name (The run's name: its folder under `runs/`)",
        "x.yaml:1: missing key model (The model that the first stage starts from: a folder, a hub name, or a tiny model "
        "to make)",
        "x.yaml:1: missing key stages (The stages, in the order of execution)",
    ]
    path = write("x.yaml", "")
    path.write_bytes(b"name: \xff\n")
    assert problems(path) == ["x.yaml: not UTF-8 text (byte 6)"]
    assert problems(write("x.yaml", "name: &a [*a]\n"))[0] == "x.yaml:1: name.0: the anchor &a contains itself"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{key}: &{key} [{', '.join([f'*{before}'] * 10)}]\n" for before, key in zip("abcde", "bcdef", strict=True)
    )
    assert "anchors expand to more than" in problems(write("x.yaml", bomb))[0]
