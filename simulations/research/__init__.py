"""What `import sealscore` gives a researcher: plans with their data, runs with their figures, models, audits."""
