"""Text and image embeddings through open_clip."""
