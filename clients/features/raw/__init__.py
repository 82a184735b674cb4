"""A party's raw tables: read, mapped, checked and windowed."""
