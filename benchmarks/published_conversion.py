"""The published way to convert rows, for conversion.py to run in a trainer's environment: `KIND SOURCE TARGET`.

bootcamp: shuffle the lines, `json.loads` each into a list, and write a data frame as parquet; read all such files again,
shuffle them into one and write it (the steps of InternBootcamp's examples/verl_usage/verl_data_preprocess.py).
execverify_rl: read the whole file into a list, `datasets.Dataset.from_list`, `map` with a function per row, `to_parquet`.
"""

import json
import random
import sys

SYSTEM = (
    "Think first, inside <think> and </think>. After that write the solution, step by step, "
    "and give the final answer in the form that the question asks for."
)


def convert_bootcamp(source: str, target: str) -> None:
    import pandas  # type: ignore[import-untyped]

    # One file for each source, then all of them shuffled into one.
    rows = []
    with open(source, encoding="utf-8") as file:  # noqa: PTH123
        lines = list(file.readlines())
    random.shuffle(lines)
    for index, line in enumerate(lines):
        record = json.loads(line.strip())
        rows.append(
            {
                "data_source": "bootcamp/" + record.get("data_source", ""),
                "prompt": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": record.get("prompt", "")},
                ],
                "reward_model": {
                    "style": "rule",
                    "ground_truth": json.dumps(record.get("ground_truth", ""), ensure_ascii=False),
                },
                "extra_info": {"index": str(index)},
            }
        )
    pandas.DataFrame(rows).to_parquet(target, index=False)
    merged = pandas.concat([pandas.read_parquet(target)], ignore_index=True).sample(frac=1, random_state=42)
    merged.to_parquet(target + ".merged", engine="pyarrow", index=False)


def convert_execverify(source: str, target: str) -> None:
    import datasets

    datasets.disable_progress_bars()
    with open(source, encoding="utf-8") as file:  # noqa: PTH123
        records = [json.loads(line) for line in file]

    def make_row(record, index):  # type: ignore[no-untyped-def]
        truth = {
            "type": record["type"],
            "func_str": record["func_str"],
            "func_name": record["func_name"],
            "func_args": record["func_args"],
            "result": record["result"],
            "question_answers": record["question_answers"],
        }
        return {
            "data_source": "execverify",
            "prompt": [{"role": "user", "content": record["prompt_str"]}],
            "ability": "code",
            "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)},
            "extra_info": {"split": "train", "index": index},
        }

    rows = datasets.Dataset.from_list(records)
    rows.map(make_row, with_indices=True, remove_columns=rows.column_names).to_parquet(target)


if __name__ == "__main__":
    {"bootcamp": convert_bootcamp, "execverify_rl": convert_execverify}[sys.argv[1]](sys.argv[2], sys.argv[3])
