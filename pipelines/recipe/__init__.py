"""What the user writes: one typed YAML file that describes a whole post-training run."""
