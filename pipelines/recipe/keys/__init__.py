"""The upstreams' own keys, read from their pinned sources into third_party/*/keys.json."""
