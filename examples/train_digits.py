"""Train a small CNN on handwritten digits and convert it, in float32 and in full int8.

    pip install '.[examples]'
    python examples/train_digits.py

Writes `digits_float.tflite`, `digits_int8.tflite` and the held-out digits `digits.npz` into `tinyinterp/data/`, part of
the package, and the accuracy measured here into `examples/accuracy.json`, where `compare_accuracy.py` finds it.

The digits are scikit-learn's: [N, 8, 8], grey levels 0 to 16. The model takes x = image / 16: [N, 8, 8, 1] float32.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # the weights then do not depend on which GPU is there

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
HELD_OUT = 500  # images never trained on, nor used to calibrate
CALIBRATION = 200  # training images from which the converter reads the activations' ranges
EPOCHS = 60
BATCH = 32
LEVELS = 16  # the brightest grey level

HERE = Path(__file__).parent
DATA = HERE.parent / "tinyinterp" / "data"


def split():
    """Training images, held-out images, training labels, held-out labels: [N, 8, 8] and [N] uint8, always the same."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    return train_test_split(images, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels)


def to_input(images):
    """x = image / 16: [N, 8, 8] uint8 to [N, 8, 8, 1] float32."""
    return (images / LEVELS).astype(np.float32)[..., None]


def build():
    """The untrained network, [N, 8, 8, 1] to ten probabilities."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((8, 8, 1), name="image"),
            # 'same': without padding the second convolution would leave a single pixel, and the second pooling none.
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def train(network, x, labels):
    """Fit with Adam, its rate falling to zero along a cosine, so that it hardly matters at which epoch to stop."""
    steps = EPOCHS * -(-len(x) // BATCH)
    rate = tf.keras.optimizers.schedules.CosineDecay(2e-3, steps)
    network.compile(tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    network.fit(x, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def convert_float(network):
    """The model in float32, as bytes."""
    return tf.lite.TFLiteConverter.from_keras_model(network).convert()


def convert_int8(network, x):
    """The model in int8 throughout, uint8 at its two ends, its ranges read from the images `x`, as bytes."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in x)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


def main():
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()

    train_images, test_images, train_labels, test_labels = split()
    x = to_input(train_images)

    network = build()
    train(network, x, train_labels)
    right = network.predict(to_input(test_images), verbose=0).argmax(axis=1) == test_labels

    DATA.mkdir(exist_ok=True)
    (DATA / "digits_float.tflite").write_bytes(convert_float(network))
    (DATA / "digits_int8.tflite").write_bytes(convert_int8(network, x[:CALIBRATION]))
    np.savez_compressed(DATA / "digits.npz", images=test_images, labels=test_labels)

    training = {
        "keras_correct": int(right.sum()),
        "held_out": HELD_OUT,
        "trained_on": len(x),
        "parameters": network.count_params(),
        "tensorflow": tf.__version__,
    }
    (HERE / "accuracy.json").write_text(json.dumps({"training": training}, indent=2) + "\n")
    print(f"Keras: {right.sum()} of {HELD_OUT} held-out digits right ({right.mean():.1%})")
    for name in ("digits_float.tflite", "digits_int8.tflite", "digits.npz"):
        print(f"{(DATA / name).stat().st_size:8,} bytes  tinyinterp/data/{name}")


if __name__ == "__main__":
    main()
