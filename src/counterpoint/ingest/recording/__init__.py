"""What every reader returns, and how it becomes an episode.

source          LogSource, the protocol of an opened log; ReadOptions and Labels, what the user says about it
features        the numeric features of a log, and the robot mapping that fits them
recording       Recording: the samples of one item as the log has them
recorded_log    RecordedLog, the LogSource that most readers derive from: items are loaded whole, one at a time
episode         Recording --> Episode, with the checks that all formats share
pictures        picture files and raw pixels of a log
notes           what each reason code means, in words
"""
