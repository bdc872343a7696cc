//! A client that was not written here: python-plexapi against a server with really scanned music.
