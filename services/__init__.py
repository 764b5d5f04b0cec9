"""One folder per process: the gateway, the model services, and the offline fine-tuning job."""
