"""What passes between parties and server: typed messages and their bytes."""
