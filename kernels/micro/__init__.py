"""Microkernels and the LLVM pieces under every kernel. Imported only to compile."""
