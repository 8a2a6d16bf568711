"""Small tools without a home of their own: files, TOML, plug-ins, versions. Nothing in here knows of U-Nets."""
