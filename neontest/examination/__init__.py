"""What `neontest doctor` looks at, a group of things each. Nothing is made on Neon, nothing of the project runs."""
