"""Any source into the two row shapes that the trainers read."""
