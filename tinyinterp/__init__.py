"""tinyinterp: TensorFlow Lite models, run bit for bit like the official interpreter, from Python source."""
