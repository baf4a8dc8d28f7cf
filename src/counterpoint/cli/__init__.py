"""The command line: verbs only. Each verb parses, calls one package, prints; nothing imports this package."""
