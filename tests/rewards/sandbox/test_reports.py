"""Reports of runners in a program's output."""

from rewards.sandbox.reports import read_reports


def test_only_reports_with_the_token_are_read() -> None:
    hostile = [
        "[" * 100_000 + "t0ken",
        '{"token": "t0ken"',
        '"t0ken"',
        '["t0ken"]',
        '{"token": "other", "x": "t0ken"}',
        "x\x0b\x85",
    ]
    output = "\n".join(['{"token": "t0ken", "n": 1}', *hostile, '{"n": 2, "token": "t0ken"}', ""])
    assert [report["n"] for report in read_reports(output, "t0ken")] == [1, 2]
