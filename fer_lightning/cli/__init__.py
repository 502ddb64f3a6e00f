"""The console command `fer-lightning` and the training command behind it."""
