"""The one road from stores to batches: `episodes` (sources, selection, marks), `encoding`, `batches`.

    position --order--> window --EpisodeSource--> Recording --transform--> sample --pack--> Batch
                                                              |
              TrainingTransform: Processor.encode             ArrayTransform: plain arrays under LeRobot's names

    Observation --Processor.encode_observation--> pack --> Batch --model--> Processor.decode --> ActionChunk

Training and serving run the same encoding code. This package leaves files to `store`, learning to `model`.
"""
