"""A checkout of entry points on verl's trainers, as the verl-recipe repository is one."""
