"""The hub's half: runs in the JupyterHub process and nowhere else."""
