"""The conversion loop: a source's records become rows in a file, on all cores, with a reason for each record that gives none.

Other rooms use `Job`, `Source`, `Reject`, `Filter` and `KINDS` (job), `convert` and `stream` (convert), `convert_all`
(parallel), `map_in_threads` (threads), `Share` and `Whole` (splits), `RowsFile` (writing), `open_rows` (shuffling), `Tally`
(tally) and `Progress`, `progress_file`, `read_progress` (progress).
"""
