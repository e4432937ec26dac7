"""The same conversion on a Ray cluster. Other rooms use `Cluster` (cluster)."""
