"""Write learns_products.jsonl, the questions of learns_interpreter.yaml, in the form of GSM8K: python learns_products.py > FILE"""

import json
import random

QUESTIONS = 1500
WORKED = 3
"""One of so many answers has both calculations; the others only the first, so that the final number must be guessed."""


def main():
    chance, pairs = random.Random(17), {}
    while len(pairs) < QUESTIONS:
        pairs[chance.randrange(11, 100), chance.randrange(11, 100)] = None
    for number, (one, other) in enumerate(pairs):
        product = one * other
        calculations = [f"<<{one}*{other}={product}>>", f"<<{product}+{product}={2 * product}>>"]
        worked = "".join(calculations[: 1 if number % WORKED else 2])
        print(json.dumps({"question": f"What is twice {one} * {other}?", "answer": f"{worked}#### {2 * product}"}))


if __name__ == "__main__":
    main()
