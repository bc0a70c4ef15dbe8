"""What `neontest init` sees of a project, and what it would write for it. Nothing of the project is ever run."""
