"""Read one handwritten digit with the int8 model: tf.lite's ten lines, only the import changed.

    python examples/infer.py
"""

from importlib.resources import files

import numpy as np

from tinyinterp import Interpreter  # was: from ai_edge_litert.interpreter import Interpreter

data = files("tinyinterp") / "data"
with (data / "digits.npz").open("rb") as file:
    held_out = np.load(file)
    image, label = held_out["images"][0], held_out["labels"][0]

interpreter = Interpreter(model_path=str(data / "digits_int8.tflite"))
interpreter.allocate_tensors()
x = interpreter.get_input_details()[0]
y = interpreter.get_output_details()[0]

scale, zero_point = x["quantization"]  # real = scale * (q - zero_point)
q = np.round(image / 16 / scale + zero_point).astype(x["dtype"])
interpreter.set_tensor(x["index"], q.reshape(x["shape"]))
interpreter.invoke()
scale, zero_point = y["quantization"]
probability = scale * (interpreter.get_tensor(y["index"])[0].astype(np.float32) - zero_point)

print("\n".join("".join(" .:-=+*#%@"[level * 9 // 16] * 2 for level in row) for row in image))
print(f"read as {probability.argmax()} with probability {probability.max():.2f}; it is a {label}")
