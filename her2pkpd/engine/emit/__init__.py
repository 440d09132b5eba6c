"""From routines to LLVM IR: vector arithmetic, the adaptive loop, dosing, output and tangents."""
