"""The six containers, each walked by a few lines of our own before a decoder sees the bytes.

Every module has two functions. `size(data) -> (width, height)` reads only the header, as stored (before EXIF
orientation). `essence(data) -> Essence` checks the structure and drops what does not draw the picture: text, profiles,
EXIF, further frames, trailing bytes. A bomb in these is therefore never unpacked, whatever the decoder would have done.
Both raise `InvalidImage`.
"""
