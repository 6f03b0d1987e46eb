"""Core to loop IR to LLVM to machine code."""
