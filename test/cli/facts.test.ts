import { describe, expect, it } from "vitest";
import { flattenFacts, foldedRows, selectFacts, tableRows } from "../../src/cli/exec/facts-printer.ts";
import type { Row } from "../../src/reporter/rows/row.ts";
import { rowText } from "../../src/reporter/rows/row.ts";

const hosts = (all: Readonly<Record<string, Readonly<Record<string, unknown>>>>) =>
  Object.entries(all).map(([host, vars]) => ({ host, facts: flattenFacts(vars) }));
const texts = (rows: readonly Row[]): readonly string[] => rows.map((row) => rowText(row).trimEnd());

const FLEET = hosts({
  web1: { ansible_kernel: "6.1", ansible_hostname: "web1", ansible_dns: { nameservers: ["10.0.0.1"] } },
  web2: { ansible_kernel: "6.1", ansible_hostname: "web2", ansible_dns: { nameservers: ["10.0.0.1"] } },
  db1: {
    ansible_kernel: "5.10",
    ansible_hostname: "db1",
    ansible_dns: { nameservers: ["10.0.0.1"] },
    ansible_lsb: {},
  },
});

describe("facts", () => {
  it("are flat: dicts by their leaves, empty ones and lists as JSON, long numbers whole", () => {
    expect([...flattenFacts({ b: { c: 1, d: {} }, a: [1, "x"], n: 2n ** 70n })]).toEqual([
      ["a", '[1, "x"]'],
      ["b.c", "1"],
      ["b.d", "{}"],
      ["n", "1180591620717411303424"],
    ]);
  });

  it.each([
    ["ansible_kernel", ["ansible_kernel"]],
    ["kernel", ["ansible_kernel"]],
    ["dns", ["ansible_dns.nameservers"]],
    ["dns.nameservers", ["ansible_dns.nameservers"]],
    ["*name", ["ansible_hostname"]],
    ["d?s", ["ansible_dns.nameservers"]],
  ])("are selected by %s", (name, paths) => {
    expect([...selectFacts(FLEET, [name])[0]!.facts.keys()]).toEqual(paths);
  });

  it("that no host has are refused, with the nearest name", () => {
    expect(() => selectFacts(FLEET, ["kernal"])).toThrow(
      'no host has a fact "kernal"; did you mean "ansible_kernel"?',
    );
    expect(selectFacts([], ["kernal"])).toEqual([]);
  });

  it("fold: each value with its hosts, what is different everywhere and what is the same in a line", () => {
    expect(texts(foldedRows(FLEET, false))).toEqual([
      "ansible_kernel",
      "  6.1   web[1-2] (2)",
      "  5.10  db1",
      "ansible_lsb",
      "  (none)  web[1-2] (2)",
      "  {}      db1",
      "different on every host: ansible_hostname",
      "1 fact is the same on all 3 hosts",
    ]);
  });

  it("that are named fold whole", () => {
    expect(texts(foldedRows(selectFacts(FLEET, ["dns", "hostname"]), true))).toEqual([
      "ansible_dns.nameservers",
      '  ["10.0.0.1"]  all 3 hosts',
      "ansible_hostname",
      "  web1  web1",
      "  web2  web2",
      "  db1   db1",
    ]);
  });

  it("are a table: of hosts by facts, or of one host's facts", () => {
    expect(texts(tableRows(selectFacts(FLEET, ["kernel", "lsb"])))).toEqual([
      "host  ansible_kernel  ansible_lsb",
      "web1  6.1             -",
      "web2  6.1             -",
      "db1   5.10            {}",
    ]);
    expect(texts(tableRows(selectFacts(FLEET.slice(0, 1), ["kernel"])))).toEqual(["ansible_kernel  6.1"]);
  });

  it("of a hostile host print no control characters", () => {
    const rows = tableRows(hosts({ a: { ansible_x: "\u001b[2J\nb" }, b: { ansible_x: "1" } }));
    expect(texts(rows).join("")).not.toMatch(/\p{Cc}/u);
  });
});
