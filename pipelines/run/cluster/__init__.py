"""A run on several machines, through a Ray cluster that runs already.

`launch`, `sweep`, `members` and `survey` are programs: they run in verl's environment, which has Ray. `nodes` calls the last
three. `survey` runs `probe` on each node.

Other rooms use `choose_cluster`, `survey_nodes` and `end_orphans_on_nodes` (nodes).
"""
