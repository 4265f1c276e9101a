"""Keras, tf.lite and tinyinterp on the same held-out digits: how many each reads right, and how many answers are equal.

    pip install '.[examples]'
    python examples/compare_accuracy.py

Prints one table, writes it into `examples/README.md` between its markers and its figures into `examples/accuracy.json`,
where `train_digits.py` left Keras's. tf.lite's interpreter is taken from ai-edge-litert, the package it lives on in.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert import interpreter as tflite

import tinyinterp

HERE = Path(__file__).parent
DATA = HERE.parent / "tinyinterp" / "data"
MODELS = {"float32": "digits_float.tflite", "int8": "digits_int8.tflite"}
BEGIN, END = "<!-- begin: written by compare_accuracy.py -->", "<!-- end -->"


def answers(interpreter, images):
    """What the model says, image by image: [N, 8, 8] grey levels 0 to 16 in, [N, 10] out, in the model's own dtype."""
    interpreter.allocate_tensors()
    x = interpreter.get_input_details()[0]
    y = interpreter.get_output_details()[0]
    scale, zero_point = x["quantization"]
    said = []
    for image in images:
        real = image.astype(np.float32) / 16
        if scale:  # a float tensor's scale is 0
            real = np.round(real / scale + zero_point).clip(0, 255)
        interpreter.set_tensor(x["index"], real.astype(x["dtype"]).reshape(x["shape"]))
        interpreter.invoke()
        said.append(interpreter.get_tensor(y["index"])[0])
    return np.stack(said)


def measure(path, images, labels):
    """The figures of one model: how many each reads right, how many answers of the two are the same bytes."""
    official = answers(tflite.Interpreter(model_path=str(path)), images)
    ours = answers(tinyinterp.Interpreter(model_path=str(path)), images)
    return {
        "bytes": path.stat().st_size,
        "tflite_correct": int((official.argmax(axis=1) == labels).sum()),
        "tinyinterp_correct": int((ours.argmax(axis=1) == labels).sum()),
        "same_bytes": sum(a.tobytes() == b.tobytes() for a, b in zip(official, ours)),
    }


def table(figures):
    """The figures as a Markdown table, one row a model."""
    training = figures["training"]
    n = training["held_out"]
    rows = [
        "| model | file | Keras, before conversion | tf.lite | tinyinterp | answers equal, byte for byte |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, row in figures["models"].items():
        correct = training["keras_correct"], row["tflite_correct"], row["tinyinterp_correct"]
        accuracies = " | ".join(f"{c / n:.1%}" for c in correct)
        rows.append(f"| {name} | {row['bytes'] / 1000:.0f} kB | {accuracies} | {row['same_bytes']} of {n} |")
    return "\n".join(rows)


def section(figures):
    """What stands between the README's markers: the table and where its figures come from."""
    training = figures["training"]
    return (
        f"{training['parameters']:,} parameters, trained on {training['trained_on']:,} digits; "
        f"asked about {training['held_out']} others, one at a time:\n\n"
        f"{table(figures)}\n\n"
        f"TensorFlow {training['tensorflow']} trained and converted; tf.lite is ai-edge-litert "
        f"{figures['ai_edge_litert']}, tinyinterp is {figures['tinyinterp']}, both as they come, without options."
    )


def replace_between_markers(text, new):
    """`text` with what stands between its two markers replaced by `new`."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


def main():
    held_out = np.load(DATA / "digits.npz")
    figures = {
        "training": json.loads((HERE / "accuracy.json").read_text())["training"],
        "ai_edge_litert": version("ai-edge-litert"),
        "tinyinterp": version("tinyinterp"),
        "models": {name: measure(DATA / file, held_out["images"], held_out["labels"]) for name, file in MODELS.items()},
    }
    print(table(figures))
    (HERE / "accuracy.json").write_text(json.dumps(figures, indent=2) + "\n")
    readme = HERE / "README.md"
    readme.write_text(replace_between_markers(readme.read_text(), section(figures)))


if __name__ == "__main__":
    main()
