// binaries
