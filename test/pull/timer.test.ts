import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installTimer, removeTimer, timerEnvironment } from "../../src/pull/timer.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "volley-timer-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const source = "https://example.org/100%25.run";
const timer = {
  source,
  minutes: 30,
  command: ["/bin/true", "pull", source, "--host=a b", "--signers=/etc/$HOME/\"x'y\\"],
};
const read = (path: string): string => readFileSync(join(root, path), "utf8");

test("the units start the very command, and systemd takes them", () => {
  expect(installTimer(timer, { root, hasSystemd: true })).toMatch(
    /^volley-pull\.timer: every 30min and up to 10min/,
  );
  const service = read("etc/systemd/system/volley-pull.service");
  expect(service).toContain(
    'ExecStart=/bin/true pull https://example.org/100%%25.run "--host=a b" "--signers=/etc/$$HOME/\\"x\'y\\\\"\n',
  );
  expect(read("etc/systemd/system/volley-pull.timer")).toMatch(
    /OnUnitInactiveSec=30min\nRandomizedDelaySec=10min\n/,
  );
  const files = ["service", "timer"].map((kind) => join(root, `etc/systemd/system/volley-pull.${kind}`));
  const verified = spawnSync("systemd-analyze", ["verify", ...files], { encoding: "utf8" });
  // Machines without systemd have no such program.
  if (verified.error === undefined) expect(verified.stderr).not.toContain("volley-pull");
});

test("cron gets the minutes or hours, from a random one on", () => {
  mkdirSync(join(root, "etc/cron.d"), { recursive: true });
  const times = (minutes: number): string => {
    installTimer({ ...timer, minutes }, { root, hasSystemd: false, random: 0.5 });
    const line = read("etc/cron.d/volley-pull").split("\n").at(-2)!;
    expect(line).toMatch(/ root '?\/bin\/true'? .*100\\%25\.run.* \| logger -t volley-pull$/);
    return line.slice(0, line.indexOf(" root "));
  };
  expect([20, 60, 360, 24 * 60].map(times)).toEqual([
    "10,30,50 * * * *",
    "30 * * * *",
    "30 3,9,15,21 * * *",
    "30 12 * * *",
  ]);
  expect(() => times(45)).toThrow("cron cannot start something every 45min");
});

test("systemd puts variables into the words behind the program, not into its path", () => {
  installTimer({ ...timer, command: ["/opt/no$de/node", "pull", "$x"] }, { root, hasSystemd: true });
  expect(read("etc/systemd/system/volley-pull.service")).toContain(
    'ExecStart="/opt/no$de/node" pull "$$x"\n',
  );
});

test("what leads to the server is in the timer, too, but no login", () => {
  const environment = timerEnvironment({
    NODE_EXTRA_CA_CERTS: '/etc/our "CA".pem',
    https_proxy: "http://proxy:3128",
    no_proxy: "",
    LANG: "C",
  });
  expect(environment).toEqual({
    NODE_EXTRA_CA_CERTS: '/etc/our "CA".pem',
    https_proxy: "http://proxy:3128",
  });
  expect(timerEnvironment({ NETRC: "x" })).toEqual({ NETRC: join(process.cwd(), "x") });
  installTimer({ ...timer, environment }, { root, hasSystemd: true });
  expect(read("etc/systemd/system/volley-pull.service")).toContain(
    'Environment=HOME=/root\nEnvironment="NODE_EXTRA_CA_CERTS=/etc/our \\"CA\\".pem"\nEnvironment=https_proxy=http://proxy:3128\n',
  );
  mkdirSync(join(root, "etc/cron.d"), { recursive: true });
  installTimer({ ...timer, environment }, { root, hasSystemd: false });
  expect(read("etc/cron.d/volley-pull")).toContain(
    `NODE_EXTRA_CA_CERTS='/etc/our "CA".pem'\nhttps_proxy="http://proxy:3128"\n`,
  );
  expect(() =>
    installTimer({ ...timer, environment: { NETRC: `/a"'` } }, { root, hasSystemd: false }),
  ).toThrow("cron cannot take NETRC");
  expect(() => timerEnvironment({ NETRC: "/a\nUser=nobody" })).toThrow("NETRC has a control character");
  expect(() => timerEnvironment({ https_proxy: "http://ann:sesame@proxy" })).toThrow(
    expect.objectContaining({ code: "USAGE", message: expect.not.stringContaining("sesame") }),
  );
});

test("a timer is replaced and removed, and a machine without either says so", () => {
  expect(removeTimer({ root })).toBe("there is no timer");
  expect(() => installTimer(timer, { root, hasSystemd: false })).toThrow("neither systemd nor /etc/cron.d");
  mkdirSync(join(root, "etc/cron.d"), { recursive: true });
  installTimer(timer, { root, hasSystemd: false });
  installTimer({ ...timer, minutes: 60 }, { root, hasSystemd: true });
  expect(readdirSync(join(root, "etc/cron.d"))).toEqual([]);
  expect(removeTimer({ root })).toMatch(/^removed .*volley-pull\.timer, .*volley-pull\.service$/);
  expect(readdirSync(join(root, "etc/systemd/system"))).toEqual([]);
});
