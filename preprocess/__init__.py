"""Data preparation: any source becomes rows of the two shapes that the trainers read."""
