"""What DeepSpeed's own estimators print. Reads cases from standard input as JSON: [[stage, parameters, largest, GPUs a node, nodes], ...];
writes the texts as JSON. Usage: deepspeed_estimates.py OUT < CASES"""
import contextlib
import io
import json
import sys

from deepspeed.runtime.zero.offload_config import OffloadDeviceEnum
from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs_all_cold as of_stage3
from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs_all_cold as of_stage2

# From Python 3.11 on f-strings print the name of such a member, "OffloadDeviceEnum.cpu"; the tables that are published are of "cpu ".
OffloadDeviceEnum.__format__ = str.__format__


def estimate(stage, parameters, largest, gpus, nodes):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if stage == 2:
            of_stage2(parameters, gpus, nodes)
        else:
            of_stage3(parameters, largest, gpus, nodes)
    return printed.getvalue()


if __name__ == "__main__":
    texts = [estimate(*case) for case in json.load(sys.stdin)]
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(texts, out)
