# The rows of segmentation and detection, where one of them cannot be made.
_base_ = './defenses.py'

defenses = {
    'Defense': dict(
        obtain='cannot be made: Defense-GAN draws single objects and no scenes, so there is no recipe; '
        'leave the row out with --skip-missing')
}
