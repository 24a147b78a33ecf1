"""What tests share: runs with known numbers, one trial of a workload, a memory model."""
