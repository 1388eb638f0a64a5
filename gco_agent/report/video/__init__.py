"""Episodes to look at: played by the judge's rules, drawn over, shown or kept in a file.

* `film`      plays an episode and yields its moments; the policy stays in the jail
* `drawing`   a moment as a picture, with what is known of it drawn over
* `decisive`  where one policy did better than another on the same seed
* `encoding`  pictures to mp4, gif and webp: the only door to imageio_ffmpeg
* `window`    pictures on a screen: the only door to pygame
"""
