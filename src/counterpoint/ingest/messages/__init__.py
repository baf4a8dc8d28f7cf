"""Logs of messages: what MCAP files and ROS bags share.

topic                           Topic, Block, MessageBatch: what containers give and decoders make of it
schema, layout, decode, flat    payloads to batches: CDR and ROS 1 by layout, JSON flattened
kinds, pick, gather, clock      batches to series
camera, pictures, film          batches to videos
survey, log                     a first look, and the LogSource
"""
