"""Write learns.jsonl, the programs of learns.yaml, in the form of CRUXEval: python learns.py > learns.jsonl"""

import json
import random

PROGRAMS = 2000
OPERATIONS = {
    "+ 3": lambda value: value + 3,
    "- 2": lambda value: value - 2,
    "* 2": lambda value: value * 2,
    "^ 1": lambda value: value ^ 1,
    "% 3": lambda value: value % 3,
}
NAMES = "abcde"


def write_program(chance):
    """Return a program of four operations on a digit, whose results are digits, and its argument and result."""
    argument = value = chance.randrange(10)
    lines = ["def f(a):"]
    for operand, name in zip(NAMES, NAMES[1:], strict=False):
        operation = chance.choice([each for each, run in OPERATIONS.items() if run(value) in range(10)])
        value = OPERATIONS[operation](value)
        lines.append(f"    {name} = {operand} {operation}")
    return "\n".join([*lines, f"    return {NAMES[-1]}"]), argument, value


def main():
    chance, programs = random.Random(17), {}
    while len(programs) < PROGRAMS:
        code, argument, value = write_program(chance)
        programs[code, argument] = value
    for number, ((code, argument), value) in enumerate(programs.items()):
        print(json.dumps({"code": code, "input": str(argument), "output": str(value), "id": str(number)}))


if __name__ == "__main__":
    main()
