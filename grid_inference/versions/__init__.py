"""Which version is at work: deployed, promoted, shadowed, scored anew, compared, kept in a folder, forgotten."""
