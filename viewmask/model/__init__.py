"""The model: tokenizer, sequence, transformer, sampler, and the generator that joins them."""
