"""What `ultra doctor` looks at. Each check returns findings and never raises for what it finds."""
