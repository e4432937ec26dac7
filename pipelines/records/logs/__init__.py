"""The logs of a run's steps, without the trainers' noise.

Other rooms use `Cleaner` and `find_ranks` (noise), `Tail` (tail), and `parse`, `Message` (messages).
"""
