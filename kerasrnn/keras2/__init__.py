"""Models of Keras 2, read from HDF5 files and built again with the stock layers of Keras 3.

``hdf5.py`` reads JSON and numbers, ``configs.py`` says which layers and options are known,
``weights.py`` puts weights into the layouts of Keras 3, ``graphs.py`` builds the model and
``masks.py`` keeps its masks.
"""
