"""Detection of faces in an image, and crops of these faces like those of FER2013."""
