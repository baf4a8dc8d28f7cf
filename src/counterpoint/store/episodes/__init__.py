"""Writing one episode: its streams, its video, or a whole episode received from another store."""
