"""What a run reports about itself: the report of runs as one HTML file, and the model card.

Used by other rooms: `FILE`; `Report` (report), which reads runs and writes the file; `Page` (page), the typed data of the file;
`LiveReport` (live), which keeps the file current during a run; `make_card`, `write_card`, `keep_card` (card.keeping).
"""

FILE = "report.html"
"""The report in a run directory."""
