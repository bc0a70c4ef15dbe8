"""The project's migrations, in the project's own interpreter: found, read, and walked."""
