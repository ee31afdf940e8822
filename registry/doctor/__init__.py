"""What the doctor looks at: configuration, tracking server, stores."""
