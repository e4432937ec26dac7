"""What runs inside the local sandbox's processes. Nothing here is imported by the rest."""
