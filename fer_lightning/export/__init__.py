"""From a trained run to one ONNX file that carries everything a prediction needs, and back."""
