"""Logs of messages: what MCAP files and ROS bags share.

topic                             Topic, Block, MessageBatch: what containers and decoders return
schema, layout, decode, flat      from payloads to batches: CDR and ROS 1 by layout, JSON flattened
kinds, extract, series, clock     from batches to series of numbers
camera, pictures, pixels, coded_video    from batches to videos
survey, log                       a first pass over the log, and the LogSource
"""
