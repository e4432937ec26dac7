"""A run on several machines, through a Ray cluster that runs already.

`launch`, `sweep` and `members` are programs: they run in verl's environment, which has Ray. `nodes` calls the last two.

Other rooms use `find_problem` and `end_orphans_on_nodes` (nodes).
"""
