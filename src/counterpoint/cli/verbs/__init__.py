"""The verbs of the command line, one module each.

The module of `scale fit` is `verbs/scale/fit.py`; its `VERB` has the arguments and what to run. Names and summaries
stand here, so that `counterpoint --help` imports none of them.
"""

VERBS = {
    "demo": "Run every stage on this machine: collect, train, evaluate, roll out, report.",
    "robots list": "List the robots and their numbers of channels.",
    "robots show": "Show every channel of a robot: quantity, unit, limits, body part.",
    "robots add": "Add your own robot from an MJCF or URDF file.",
    "collect": "Record episodes of a scripted expert in simulation.",
    "ingest": "Read robot logs into a store. Re-running resumes and never imports an episode twice.",
    "prepare": "Build what training reads from a store, and check its episodes.",
    "plan-data": "Estimate the cores, storage and network that a fleet's data need.",
    "catalog": "Summarize, list, query and search the episodes of a store; find duplicates; draw a map.",
    "mix": "Select the episodes to train on and fix their weights, splits and statistics.",
    "show": "Open one episode in the rerun viewer, or write it as a file or a page.",
    "check": "Find damaged files and faulty recordings in a store.",
    "export": "Write episodes as a LeRobot, MCAP or RLDS dataset.",
    "site push": "Send finished episodes from a data-collection computer to a receiver.",
    "site receive": "Receive episodes from many sites into one store.",
    "site token": "Create a site's access token, or revoke it.",
    "train": "Train a policy by a recipe.",
    "evaluate": "Measure a checkpoint's next-action error on held-out logs.",
    "rollout": "Measure a policy's success rate in simulation, under inference delays.",
    "scale plan": "Plan a scaling study that fits a budget, and say what it can show.",
    "scale run": "Run a planned study; re-running resumes it.",
    "scale fit": "Fit a scaling law to a table of runs.",
    "scale ossify": "Test whether small models stop learning from more data.",
    "scale verify": "Check a fit against runs it has not seen.",
    "scale forecast": "Predict the data, training and money that an error needs.",
    "scale allocate": "Find the model size and amount of data with the least error for a budget.",
    "scale ingest": "Read runs logged by other tools into one table.",
    "scale transfer": "Measure what pretraining is worth on new tasks.",
    "scale mix": "Find the best mixture of data sources, and what an hour of each is worth.",
    "report": "Write a run or a fit as one HTML page.",
}
