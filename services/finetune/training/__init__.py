"""What all trainers share: the plan, the order of examples, the optimizer, and transformers' Trainer around them."""
