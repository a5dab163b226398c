"""Files ↔ compressed streams: what a stream cannot hold of a file's form travels in its header's attachment.

form.py                         what a file was, as the attachment tells it
placing.py numbers.py           rows → samples; types that streams lack, and what they cost of a promised error
content.py opening.py           what goes into a stream; a name → that
arrays.py tables.py sound.py raw.py pictures.py tiles.py    one kind of file each, both ways
restoring.py                    a stream → the file that it was
folders.py running.py           many files, resumable; compressors for what each needs
anatomy.py                      what a stream's bytes are spent on
held_out.py own_curves.py rivals.py recall.py curves.py comparison.py   what compression is worth beside others
"""
