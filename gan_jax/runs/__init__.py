"""What lies on a disk: folders, checkpoints, the runner, resume, branch and replay."""
