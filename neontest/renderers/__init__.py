"""Tell: one file a format, each `render(report) -> str`, pure: no clock, no terminal, no environment."""
