import { expect, it } from "vitest";
import { selectAmong } from "../../src/connect/hosts.ts";
import { bareHost } from "../../src/inventory/connection.ts";

const hosts = ["web01", "web02", "web10", "db1"].map((name) =>
  bareHost(name, "ssh", name === "db1" ? ["db"] : ["web"]),
);

it.each([
  ["all", ["web01", "web02", "web10", "db1"]],
  ["web", ["web01", "web02", "web10"]],
  ["web:!web02", ["web01", "web10"]],
  ["web[01-02,10]", ["web01", "web02", "web10"]],
  ["web[01:02]", ["web01", "web02"]],
  ["web0*,db1", ["web01", "web02", "db1"]],
  ["~w.*2", ["web02"]],
  ["db1 web01", ["db1", "web01"]],
])("selects by %s", (pattern, names) => {
  expect([...selectAmong(hosts, pattern)].sort()).toEqual([...names].sort());
});

it("says what names nobody", () => {
  expect(() => selectAmong(hosts, "mail")).toThrow('no host or group is called "mail"');
});
