"""The project's migrations: found and read without running them, then walked by a worker in its own interpreter.

project and history read files only. session drives the worker (worker, walker and watch run on the other side);
environment knows how projects want to be told their database, interpreter which Python is theirs.
"""
