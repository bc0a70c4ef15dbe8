"""The command line: one file a command. Each parses, calls, renders and gives the exit code."""
