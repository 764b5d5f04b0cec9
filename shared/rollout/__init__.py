"""The push: new weights into every replica of a service, or into none. For the command line and the job alike."""
