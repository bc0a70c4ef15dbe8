"""Send: what a run found, to GitHub: comment, status, summary, outputs, masks. Nothing here ever fails a run."""
