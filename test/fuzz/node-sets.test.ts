import { test } from "vitest";
import { foldNodeSet, formatNodeSet, parseNodeSet } from "../../src/patterns/names.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { must, mustEqual, orRefusal } from "./lib/judge.ts";

test(
  "node sets: names, each once; and what is written of them stands for the same names",
  () =>
    fuzz({
      corpus: "node-sets",
      inputs: 60,
      tokens: [
        "[1-3]",
        "[01-17]",
        "[9-10]",
        "[1-9/3]",
        "[0:5]",
        "[a:f]",
        "[1-65536]",
        "!",
        "&",
        "^",
        "web",
        "00",
        "[1]",
        "a,",
        "n1 ",
      ],
      check: (bytes) => {
        const names = orRefusal(["PATTERN_UNKNOWN"], () => parseNodeSet(bytes.toString()));
        if (names === undefined) return;
        must(new Set(names).size === names.length, "a name twice");
        foldNodeSet(names);
        // Other names cannot be a host's.
        const hosts = names.filter((name) => /^[\w.-]+$/.test(name)).slice(0, 20_000);
        if (hosts.length === 0) return;
        mustEqual(parseNodeSet(formatNodeSet(hosts)).toSorted(), hosts.toSorted(), "read again");
      },
    }),
  FUZZ_TIMEOUT_MS,
);
