"""Export of a trained run to one ONNX file that contains everything that a prediction needs."""
