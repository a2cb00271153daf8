"""Builders of test objects that several test files share."""

import struct

TS_HEADER = """# a comment
%another
@problemName Two
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
"""
TS_ROWS = "1,2,3:4,5,6:up\n\n# between\n-1.5E-1,?:0,7 : down\n"
CONLLU = """# sent_id = 1
1-2\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
1\tca\tcan\tAUX\tMD\tMood=Ind\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
2.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t0:root\t_

# text = New York _
1\tNew York\tNew York\tPROPN\tNNP\t_\t0\troot\t_\t_
2\t_\t_\tSYM\tNFP\t_\t1\tpunct\t_\t_"""


def idx_bytes(array, code=0x08):
    """An array as the bytes of an IDX file."""
    return (
        struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()
    )


def write_ts(folder, rows=TS_ROWS, header=TS_HEADER):
    """A .ts file in a folder; returns its path."""
    path = folder / "a.ts"
    path.write_text(header + rows)
    return path


def columns(*sentences):
    """CoNLL columns of sentences written ``token/label token/label``."""
    return "\n\n".join("\n".join(pair.replace("/", " ") for pair in s.split()) for s in sentences)
