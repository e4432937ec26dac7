"""`pipeline data`: convert, trace, show and prepare rows. `app` (commands) declares the commands."""
