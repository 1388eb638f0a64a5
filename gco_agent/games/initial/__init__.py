"""The policies that runs start from, one file a game: data, read as text and never imported."""
