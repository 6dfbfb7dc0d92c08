"""What all trainings and predictions share: device and precision, fixed batches, augmentation, exact resume."""
