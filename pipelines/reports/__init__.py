"""What a run reports about itself: the model card.

Used by other rooms: `make_card`, `write_card`, `keep_card` (card.keeping).
"""
