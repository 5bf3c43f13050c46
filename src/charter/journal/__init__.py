"""What a run remembers: completions, how every row ended, and what each stage took, in one file.

``store`` writes it, ``reading`` looks at it where nothing may be written, ``results`` gives back what rows came to, and
``absorption`` takes in another's. ``counting`` says how many rows there are, and ``overlap`` whether two journals hold
the same one. ``database`` and ``records`` are what they stand on.
"""
