"""What `pipeline check` looks at: what a recipe meets on this machine, found out before anything is trained."""
