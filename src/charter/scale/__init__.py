"""Rows done elsewhere: by Ray actors, each with engines and a journal of its own."""
