"""Roads made here, roads read from disk, and the crack-free windows cut from them."""
