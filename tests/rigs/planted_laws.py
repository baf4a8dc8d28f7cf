"""Laws planted in tables by tests: the solver's vector from the parameters that a law reports."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from counterpoint.scaling.laws.forms import Float, Form


def to_vector(law: Form, parameters: Mapping[str, float], reference: tuple[float, float]) -> Float:
    """Return the vector of reported parameters; inverse of `Form.report`."""
    ln_n, ln_d = reference
    p = dict(parameters)
    v: dict[str, float] = {name: p[name] for name in ("alpha", "beta") if name in p}
    if "E" in p:
        v["floor"] = math.log(max(p["E"], 1e-300))
    match law.name:
        case "power" | "power_floor":
            v["data"] = p["alpha"] * (math.log(p["A"]) - ln_d)
        case "additive" | "joint" | "repetition":
            if "A" in p:
                v["size"] = math.log(p["A"]) - p["alpha"] * ln_n
            v["data"] = math.log(p["B"]) - p["beta"] * ln_d
        case "kaplan":
            v["size"] = p["alpha"] * (math.log(p["A"]) - ln_n)
            v["data"] = p["beta"] * (math.log(p["B"]) - ln_d)
        case "broken":
            v["data"] = math.log(p["A"]) - p["alpha"] * ln_d
            v["break"] = math.log(p["D_1"]) - ln_d
    for name, entry in (("gamma", "log_gamma"), ("R_D", "log_repeat"), ("R_N", "log_repeat_size")):
        if name in p:
            v[entry] = math.log(p[name])
    return np.asarray([v[entry] for entry in law.vector])
