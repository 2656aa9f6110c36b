import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ufw } from "../../../src/actions/network/ufw.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;

// Keeps the same files as ufw, and no packet filter: the real one would lock up the machine that the tests run on.
const UFW = `dry=; [ "$1" = --dry-run ] && { dry=1; shift; }
[ "$1" = -f ] && shift
conf="$ROOT/etc/ufw/ufw.conf"; rules="$ROOT/etc/ufw/user.rules"
set_to() { sed -i "s/^$1=.*/$1=$2/" "$3"; }
case $1 in
  status) if grep -q ENABLED=yes "$conf"; then echo "Status: active"; else echo "Status: inactive"; fi
    [ "$2" != numbered ] || grep tuple "$rules" | nl -w 2 -s '] ' | sed 's/^/[/; s/### tuple ### //' ;;
  enable) set_to ENABLED yes "$conf" ;;
  disable) set_to ENABLED no "$conf" ;;
  reload) ;;
  reset) set_to ENABLED no "$conf"; echo '*filter' >"$rules" ;;
  logging) set_to LOGLEVEL "$(echo "$2" | sed s/on/low/)" "$conf" ;;
  default) case $2 in allow) to=ACCEPT ;; deny) to=DROP ;; *) to=REJECT ;; esac
    case $3 in incoming) name=INPUT ;; outgoing) name=OUTPUT ;; *) name=FORWARD ;; esac
    set_to "DEFAULT_"$name"_POLICY" "\\"$to\\"" "$ROOT/etc/default/ufw" ;;
  *) new="$ROOT/../new.rules"; cp "$rules" "$new"
    case $1 in
      delete) shift; grep -vxF "### tuple ### $*" "$rules" >"$new" ;;
      insert) at=$2; shift 2; sed -i "$at a ### tuple ### $*" "$new" ;;
      *) case "$*" in *nonsense*) echo 'ERROR: Bad port' >&2; exit 1 ;; esac
        if grep -qxF "### tuple ### $*" "$rules"; then echo 'Skipping adding existing rule'; exit 0; fi
        echo "### tuple ### $*" >>"$new" ;;
    esac
    if [ -n "$dry" ]; then cat "$new"; else cat "$new" >"$rules"; fi
    rm "$new" ;;
esac`;

beforeEach(() => {
  sandbox = makeSandbox();
  for (const path of ["etc/ufw", "etc/default"]) mkdirSync(join(sandbox.root, path), { recursive: true });
  writeFileSync(join(sandbox.root, "etc/ufw/ufw.conf"), "ENABLED=no\nLOGLEVEL=low\n");
  writeFileSync(join(sandbox.root, "etc/ufw/user.rules"), "*filter\n");
  writeFileSync(
    join(sandbox.root, "etc/default/ufw"),
    'DEFAULT_INPUT_POLICY="DROP"\nDEFAULT_OUTPUT_POLICY="ACCEPT"\nDEFAULT_FORWARD_POLICY="DROP"\n',
  );
  tools = withTools(sandbox, { ufw: UFW });
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof ufw>[0];
const cycle = (params: Params) => checkApplyAgain({ ...sandbox, system: tools.system }, ufw(params));
const rules = (): readonly string[] =>
  readFileSync(join(sandbox.root, "etc/ufw/user.rules"), "utf8")
    .split("\n")
    .slice(1, -1)
    .map((line) => line.slice(14));
const changes = (): readonly string[] => tools.calls().filter((call) => !/ status | --dry-run /.test(call));

describe("ufw", () => {
  it.each<[Params, string]>([
    [{ rule: "allow", to_port: "22", proto: "tcp" }, "allow from any to any port 22 proto tcp"],
    [{ rule: "limit", name: "OpenSSH", comment: "a b" }, "limit from any to any app OpenSSH comment a b"],
    [
      {
        rule: "deny",
        direction: "incoming",
        interface: "eth0",
        log: true,
        from_ip: "10.0.0.0/8",
        from_port: "53",
        to_ip: "10.1.1.1",
      },
      "deny in on eth0 log from 10.0.0.0/8 port 53 to 10.1.1.1",
    ],
    [
      { rule: "reject", route: true, interface_in: "a", interface_out: "b" },
      "route reject in on a out on b from any to any",
    ],
  ])("adds the rule %j, once, and deletes it", async (params, words) => {
    const { check, first } = await cycle(params);
    expect(rules()).toEqual([words]);
    expect(check.change?.diff).toEqual([{ path: "ufw rules", before: "", after: `${words}\n` }]);
    expect(first.data).toEqual({ msg: "Status: inactive", commands: [`ufw ${words}`] });
    if (params.route === true) return;
    await cycle({ ...params, delete: true });
    expect(rules()).toEqual([]);
  });

  it("inserts a rule, counted from the first or the last", async () => {
    for (const to_port of ["1", "2"]) await cycle({ rule: "allow", to_port });
    await pass(ufw({ rule: "allow", to_port: "3", insert: 1 }), tools.system, sandbox.context());
    const last = ufw({ rule: "allow", to_port: "4", insert: 0, insert_relative_to: "last-ipv4" });
    await pass(last, tools.system, sandbox.context());
    expect(rules().map((rule) => rule.split(" ").at(-1))).toEqual(["3", "1", "4", "2"]);
  });

  it("turns the firewall on and off, and sets policy and logging", async () => {
    const { first } = await cycle({ state: "enabled", default: "reject", logging: "high" });
    expect(first.data?.msg).toBe("Status: active");
    await cycle({ default: "deny", direction: "outgoing" });
    await cycle({ logging: "off" });
    await cycle({ logging: "on" });
    await cycle({ state: "disabled" });
    expect(changes()).toEqual([
      "ufw -f enable",
      "ufw default reject incoming",
      "ufw logging high",
      "ufw default deny outgoing",
      "ufw logging off",
      "ufw logging on",
      "ufw -f disable",
    ]);
  });

  it("reloads without a change, and resets with one when there was something", async () => {
    await cycle({ state: "enabled" });
    const run = async (state: "reloaded" | "reset") =>
      (await pass(ufw({ state }), tools.system, sandbox.context())).state;
    expect([await run("reloaded"), await run("reset"), await run("reset"), await run("reloaded")]).toEqual([
      "unchanged",
      "changed",
      "unchanged",
      "unchanged",
    ]);
    expect(changes().filter((call) => call === "ufw -f reload")).toHaveLength(1);
  });

  it("says what ufw refuses, and needs it", async () => {
    const bad = ufw({ rule: "allow", to_port: "nonsense" });
    await expect(pass(bad, tools.system, sandbox.context())).rejects.toThrow(
      "ufw refuses the rule: ERROR: Bad port",
    );
    const { system } = withTools(sandbox, { ufw: null });
    await expect(pass(bad, system, sandbox.context())).rejects.toThrow(/ufw is not installed/);
    expect((await pass(bad, system, sandbox.context({ check: true }))).change?.unknown).toMatch(
      /not installed/,
    );
  });

  it("names wrong parameters", () => {
    expect(() => ufw({})).toThrow(/at least one of state, default, rule and logging/);
    expect(() => ufw({ rule: "allow", interface: "eth0" })).toThrow(/interface needs direction/);
  });
});
