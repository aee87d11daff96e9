"""What the stages of tools/gpu-check have found: a small file each, written at once and whole, so that nothing is lost
when the machine is gone in the middle, and a later call goes on with the stages that have none."""

import json
import os

ALL = "all.json"


class Results:
    """The results in one folder that come from one prepared build. Whatever else lies there is passed over, and said."""

    def __init__(self, folder, build, say):
        self.folder = folder
        self.build = build
        self.found = {}
        os.makedirs(folder, exist_ok=True)
        # One file with all of them comes first: some runners bring back few files.
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
        for name in sorted(names, key=lambda name: name != ALL):
            self.take(name, say)

    def take(self, name, say):
        path = os.path.join(self.folder, name)
        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
            results = list(content["stages"].values()) if name == ALL else [content]
            for result in results:
                if not (isinstance(result["stage"], str) and isinstance(result["passed"], bool)):
                    raise TypeError
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            say(f"{path} is damaged or no result: passed over, its stage runs again")
            return
        for result in results:
            if result.get("build") == self.build:
                self.found[result["stage"]] = result
            else:
                say(f"{path}: {result['stage']} is of another build: passed over")

    def add(self, stage, result):
        result = {"stage": stage, "build": self.build} | result
        self.found[stage] = result
        self.write(f"{stage}.json", result)
        self.write(ALL, {"stages": self.found})

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        beside = f"{path}.part"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
