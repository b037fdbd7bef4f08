"""Keep a text classifier trained, checked, tracked, released and watched on your own labeled texts."""
