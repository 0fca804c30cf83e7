"""Does `zerorun estimate --compat deepspeed` print what DeepSpeed prints, to the character? 1,000 random cases, half of them of each stage.
Usage: deepspeed_estimator.py PATH/TO/zerorun [CASES]"""
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import sides

MOST_PARAMETERS, MOST_GPUS = 10**13, 65_536


def random_case(stage, generator):
    """Sizes from one parameter to the most that zerorun takes, evenly over their logarithms; small worlds and large ones."""
    parameters = int(10 ** generator.uniform(0, 13)) if generator.random() < 0.9 else MOST_PARAMETERS
    largest = generator.randint(1, parameters) if generator.random() < 0.5 else max(1, parameters // generator.randint(1, 100))
    gpus = generator.choice([1, 2, 3, 4, 6, 8, 16, generator.randint(1, 1024)])
    nodes = generator.choice([1, 2, 3, 4, 7, generator.randint(1, MOST_GPUS // gpus)])
    return stage, parameters, largest, gpus, nodes


def zerorun_text(program, case):
    stage, parameters, largest, gpus, nodes = case
    words = ["estimate", "--compat", "deepspeed", "--stage", stage, "--params", parameters, "--largest-layer-params", largest, "--gpus-per-node", gpus, "--nodes", nodes]
    done = subprocess.run([program, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split("\n\n")[0] + "\n"


def deepspeed_texts(cases):
    python = subprocess.run([sides.PEERS / "install.sh", "deepspeed"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "texts.json"
        subprocess.run([python, sides.PEERS / "deepspeed_estimates.py", out], input=json.dumps(cases), text=True, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text(encoding="utf-8"))


def main():
    program, count = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    generator = random.Random(42)
    cases = [random_case(2 + number % 2, generator) for number in range(count)]
    expected = deepspeed_texts(cases)
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda case: zerorun_text(program, case), cases))
    seconds = time.perf_counter() - start
    wrong = [(case, a, b) for case, a, b in zip(cases, expected, found) if a != b]
    for case, a, b in wrong[:5]:
        print(f"{case}\n{a}{b}")
    print(f"{count} cases, {len(wrong)} differ; {1e3 * seconds / count:.0f} ms a case")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
