"""LLaMA-Factory 0.9.5: `trainer` implements the trainer contract, `answers` validates stages in LLaMA-Factory's environment."""
