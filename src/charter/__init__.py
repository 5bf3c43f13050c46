"""Charter: the toolkit for Constitutional AI."""
