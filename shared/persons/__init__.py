"""A party's records of persons: identifiers, consents, columns."""
