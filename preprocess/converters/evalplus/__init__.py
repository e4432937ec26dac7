"""evalplus: HumanEval+ and MBPP+, whose tests are inputs; what the published solution returns for them is right.

`EVALPLUS`.
"""

from preprocess.converters.evalplus.converter import EVALPLUS

__all__ = ["EVALPLUS"]
