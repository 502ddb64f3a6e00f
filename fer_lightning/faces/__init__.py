"""Finding the face in a picture, and cutting it out as FER2013's faces were cut."""
