"""Networks of which every image of a batch has its own: what purifiers fit to one image at test time."""
