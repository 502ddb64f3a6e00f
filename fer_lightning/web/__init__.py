"""What the pages on this machine share: who is let in, which files they are made of, where they listen."""
