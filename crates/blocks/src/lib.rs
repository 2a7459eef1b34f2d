//! The built-in blocks: transformer, LSTM and their sequences.
