"""Wrong files, options and variables: what is not YAML, `extends`, `--set`, `${env:...}`."""

from __future__ import annotations

from .base import BASE, Wrong


def _replaced(name: str, before: str, after: str, expected: str, **variables: str) -> Wrong:
    assert before in BASE
    return Wrong(name, BASE.replace(before, after, 1), expected, variables=variables)


def _seed(value: str, expected: str, **variables: str) -> Wrong:
    return Wrong(f"seed: {value}"[:60], f"extends: base.yaml\nseed: {value}\n", expected, variables=variables)


YAML = [
    Wrong("an empty file", "", "missing key name"),
    Wrong("a text", "hello\n", "found the text 'hello', expected a mapping"),
    Wrong("two documents", "name: a\n---\nname: b\n", "not valid YAML"),
    Wrong("HTML", "<html></html>\n", "found the text '<html></html>', expected a mapping"),
    Wrong("tabs", "name: x\n\tmodel: y\n", "not valid YAML"),
    Wrong("a NUL character", f"{BASE}\0", "not valid YAML"),
    Wrong("a line of 600 KB", f"name: {'x' * 600_000}\n", "expected a recipe of at most 500,000"),
    Wrong("100 levels", f"a: {'[' * 100}{']' * 100}\n", "found more than 64 levels"),
    Wrong("1,000 unknown keys", "".join(f"k{number}: 1\n" for number in range(1000)), "more mistakes are not shown"),
    Wrong("a merge of a text", f"{BASE}<<: base\n", "<<: expected a mapping or a list of mappings"),
    Wrong("a merge with an unknown key", f"{BASE}<<: {{sed: 1}}\n", "sed: unknown key; did you mean 'seed'?"),
    Wrong("an unknown alias", f"{BASE}seed: *x\n", "not valid YAML"),
    Wrong("a mark on a key", f"{BASE}!remove seed: 3\n", "write !remove before the value"),
    Wrong("a key twice, quoted", f"{BASE}seed: 3\n'seed': 4\n", "seed: duplicate key"),
    Wrong("a list as key", f"{BASE}[a]: c\n", "found a list or mapping as key"),
    Wrong("a bad escape", f'{BASE}report: "\\x"\n', "not valid YAML"),
    _seed("!!int x", "found 'x' after !!int"),
    _seed("!!float x", "found 'x' after !!float"),
    _seed("!!bool x", "found 'x' after !!bool"),
    _seed("!!str 17", "found the text '17', expected a whole number"),
    _seed("!!map 17", "unknown tag"),
    _seed("!!python/object/apply:os.system ['x']", "unknown tag"),
    _seed("!Remove", "unknown tag !Remove"),
    _seed("1:30", "found the text '1:30', expected a whole number"),
    _seed("$SEED", "found the text '$SEED', expected a whole number"),
    _seed("{{ seed }}", "found a list or mapping as key"),
    _seed("- 17", "not valid YAML"),
    _seed(f"0x{'f' * 5000}", "found a number of 5002 digits, expected 64 bits"),
    _replaced("a text tag on a mapping", "hardware: {", "hardware: !!str {", "unknown tag"),
    _replaced("smart quotes", "name: base", "name: “base”", "name: found '“base”'"),
    _replaced("a no-break space", "    kind: rl", "    \u00a0kind: rl", "missing key kind: sft or rl"),
    _replaced("no space after a colon", "name: base", "name:base", "not valid YAML"),
    _replaced("a long algorithm", "algorithm: grpo", f"algorithm: {'g' * 100_000}", "stages.rl.algorithm: found 'ggg"),
    _replaced("a long reward", "reward: code_tests", f"reward: {'c' * 100_000}", "no reward"),
]

EXTENDS = [
    Wrong(f"extends: {value}"[:60], f"extends: {value}\n", expected)
    for value, expected in (
        ("null", "expected a recipe file or a list of them"),
        ("''", "expected a recipe file or a list of them"),
        ("1", "expected a recipe file or a list of them"),
        ("{base: x}", "expected a recipe file or a list of them"),
        ("x.yaml", "circular reference"),
        ("data", "data: is a folder"),
        ("bse.yaml", "did you mean 'base.yaml'?"),
        ("[base.yaml, base.yaml]", "base.yaml is listed twice"),
        ("/dev/null", "recipe file not found"),
        (f"{'a' * 300}.yaml", "cannot be read: File name too long"),
        ("'${env:FILE}'", "recipe file not found"),
    )
] + [
    Wrong("Extends", "Extends: base.yaml\n", "Extends: unknown key; did you mean 'extends'?"),
    Wrong("include", "include: base.yaml\n", "include: unknown key"),
    Wrong("extends in a stage", "extends: base.yaml\nstages: [{name: rl, extends: sft}]\n", "extends: unknown key"),
]

VARIABLES = [
    _seed("'${env:}'", "a variable is written ${env:NAME}"),
    _seed("'${env:A-B:c}'", "a variable is written ${env:NAME}"),
    _seed("'${env:HERE'", "a variable is written ${env:NAME}"),
    _seed("'${env:NOT_HERE}'", "the environment variable NOT_HERE is not set"),
    _seed("'${ENV:HERE}'", "found the text"),
    _seed("'${env:HERE}'", "found the text '3x', expected a whole number", HERE="3x"),
    _seed("'${env:HERE}'", "found the text '[1, 2]', expected a whole number", HERE="[1, 2]"),
    _seed("'${env:HERE}'", "the environment variable HERE is empty", HERE=""),
    _seed("'${env:HERE}'", "found the text '999", HERE="9" * 5000),
    _replaced("a variable as name", "name: base", "name: '${env:HERE}'", "name: found 'a b'", HERE="a b"),
]

SETS = [
    Wrong(f"--set {option}"[:60], "extends: base.yaml\n", expected, sets=(option,))
    for option, expected in (
        ("seed", "expected key=value"),
        ("=3", "expected key=value"),
        ("seed=", "found null, expected a whole number"),
        ("seed==3", "found the text '=3'"),
        ("--seed=3", "unknown key; did you mean 'seed'?"),
        ("seed.x=3", "seed: found a mapping, expected a whole number"),
        ("name.x=3", "not a mapping"),
        ("seed=!x", "unknown tag !x"),
        ("seed=[17", "not valid YAML"),
        ("seed=*a", "not valid YAML"),
        ("seed=.nan", "found the text '.nan'"),
        ("stages=[]", "found an empty list"),
        ("stages.9.steps=3", "stages has 3 items, counted from 0"),
        ("stages.\uff11.steps=3", "stages has no '\uff11'"),
        ("stages.rll.steps=3", "did you mean 'rl'?"),
        ("stages[rl].steps=3", "unknown key"),
        ("stages..steps=3", "stages has no ''"),
        ("stages.rl.rolout.samples=4", "unknown key; did you mean 'rollout'?"),
        ("stages.rl.steps=20\nseed: 3", "not valid YAML"),
        ("stages.rl.verl.trainer.nnodes=3", "set by the recipe's top-level `hardware.nodes`"),
        ("stages.sft.llamafactory=bf16=true", "found the text 'bf16=true', expected a mapping"),
        ("stages.rl.name=sft", "two stages are named 'sft'"),
        ("stages.rl.kind=sft", "unknown key"),
        (f"stages.rl.verl.{'a.' * 500}b=1", "found 504 levels, expected at most 64"),
        (f"seed={'1' * 5000}", "found a number of 5000 characters"),
        (f"seed={'[' * 1000}", "not valid YAML"),
        ("\u202eseed=3", "unknown key"),
        ("\x1b[31m=3", "unknown key"),
    )
] + [
    Wrong("two options", "extends: base.yaml\n", "seed: found the text 'x'", sets=("seed=1", "seed=x")),
    Wrong(
        "an option removed twice", "extends: base.yaml\nseed: 1\n", "nothing to remove", sets=("seed=!remove", "seed=!remove")
    ),
    Wrong("500 options", "extends: base.yaml\n", "more mistakes are not shown", sets=tuple(f"x{n}=1" for n in range(500))),
]
