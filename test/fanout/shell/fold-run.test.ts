import { expect, it } from "vitest";
import { runFolded } from "../../../src/fanout/shell/fold-run.ts";
import { fleetStarter } from "../fleet.ts";

const start = fleetStarter();

it("writes equal answers once, the most frequent first, and lets none forge another", async () => {
  const { hosts } = await start({ count: 3 });
  let written = "";
  const progress: number[] = [];
  await runFolded({
    line: `case $HOME in *web02) printf 'odd\\033[2J\\r\\033[1;36mweb99\\n'; echo bad >&2; exit 3;; *) echo even;; esac`,
    hosts,
    forks: 2,
    progress: (done) => progress.push(done),
    write: async (text) => {
      written += text;
    },
    signal: new AbortController().signal,
  });
  expect(progress).toEqual([1, 2, 3]);
  expect(written).toContain("3 hosts, 2 answers");
  expect(written.indexOf("web[01,03]")).toBeLessThan(written.indexOf("web02"));
  expect(written).toContain("exit 3");
  expect(written).toContain("odd[2J[1;36mweb99\n");
  expect(written).toContain("bad\n");
  expect(written.split("even")).toHaveLength(2);
});

it("says why a host gave no answer", async () => {
  const { hosts } = await start({
    count: 2,
    faults: (index) => (index === 1 ? { kind: "refuse" } : undefined),
  });
  let written = "";
  await runFolded({
    line: "true",
    hosts,
    forks: 2,
    progress: () => {},
    write: async (text) => {
      written += text;
    },
    signal: new AbortController().signal,
  });
  expect(written).toContain("(no output)");
  expect(written).toMatch(/web02.*unreachable: .*refused/s);
});
