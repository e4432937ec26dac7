"""Programs into questions about their execution."""
