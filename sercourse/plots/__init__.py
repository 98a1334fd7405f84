"""Pictures for the lessons: every function draws on a matplotlib Axes and returns it."""
