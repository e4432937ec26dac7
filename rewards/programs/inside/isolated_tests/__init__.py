"""Runs tests beside a candidate that never sees them: two processes, and plain data between them.

`main(task)` takes the candidate: a JSON object with `prelude`, `code`, `function` and
`judged`, the names that only the code may bring. It forks the candidate's process first
and reads the tests from standard input only then, so that neither they, nor what they expect, nor the token of the
verdicts was ever in the candidate's memory. Standard input: `token`, `kind`, `sources`, `helpers` and `max_tests`. One JSON
line per report goes to standard output, each with the token: `{"total": n}`, then `{"i": test, "ok": true | false | null}`
(null: the test never turned to the candidate); or `{"unsupported": what}`, or `{"no_process": why}`.

The tests see the candidate's functions and objects through `Remote`. Plain data and instances of the prelude's classes
cross by value, and what a call changes in its arguments is changed in the tests' own objects. Everything else stays with
the candidate and is asked. What is asked never is whether it equals a plain value: that is decided here.
"""

from rewards.programs.inside.isolated_tests.processes import main

__all__ = ["main"]
