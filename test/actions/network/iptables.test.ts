import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { iptables } from "../../../src/actions/network/iptables.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;

// Rules and chains are lines of a file: the real program would change the machine that the tests run on.
const IPTABLES = `table=filter
[ "$1" = -w ] && shift 2
[ "$1" = -t ] && { table=$2; shift 2; }
command=$1; chain=$2; shift 2
place=1; case $command$1 in -I[0-9]*) shift ;; esac
rule="$table $chain $*"
case $command in
  -C) grep -qxF -- "$rule" "$ROOT/rules" ;;
  -A|-I) echo "$rule" >>"$ROOT/rules" ;;
  -D) grep -vxF -- "$rule" "$ROOT/rules" >"$ROOT/new"; mv "$ROOT/new" "$ROOT/rules" ;;
  -F) : >"$ROOT/rules" ;;
  -L) echo "Chain $chain (policy $(cat "$ROOT/policy"))" ;;
  -P) echo "$1" >"$ROOT/policy" ;;
  -S) grep -qxF -- "chain $chain" "$ROOT/rules" ;;
  -N) echo "chain $chain" >>"$ROOT/rules" ;;
  -X) grep -vxF -- "chain $chain" "$ROOT/rules" >"$ROOT/new"; mv "$ROOT/new" "$ROOT/rules" ;;
  *) exit 2 ;;
esac`;

beforeEach(() => {
  sandbox = makeSandbox();
  writeFileSync(join(sandbox.root, "rules"), "");
  writeFileSync(join(sandbox.root, "policy"), "ACCEPT\n");
  tools = withTools(sandbox, { iptables: IPTABLES, ip6tables: null });
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof iptables>[0];
const rules = (): string => readFileSync(join(sandbox.root, "rules"), "utf8");
const cycle = (params: Params) => checkApplyAgain({ ...sandbox, system: tools.system }, iptables(params));

describe("iptables", () => {
  it.each<[string, Params, string]>([
    [
      "ports and states",
      {
        chain: "INPUT",
        protocol: "tcp",
        destination_port: "22",
        ctstate: ["NEW", "ESTABLISHED"],
        jump: "ACCEPT",
        comment: "SSH in",
      },
      "-p tcp --dport 22 -m conntrack --ctstate NEW,ESTABLISHED -m comment --comment SSH in -j ACCEPT",
    ],
    [
      "the contrary of values",
      { chain: "INPUT", in_interface: "!eth0", source: "! 10.0.0.0/8", uid_owner: "!root", jump: "DROP" },
      "! -s 10.0.0.0/8 ! -i eth0 -m owner ! --uid-owner root -j DROP",
    ],
    [
      "modules once",
      {
        chain: "INPUT",
        protocol: "tcp",
        match: ["tcp", "state", "multiport"],
        ctstate: "NEW",
        destination_ports: ["80", "443"],
        jump: "ACCEPT",
      },
      "-p tcp -m tcp -m state -m multiport --dports 80,443 --state NEW -j ACCEPT",
    ],
    [
      "flags of TCP",
      {
        chain: "INPUT",
        protocol: "tcp",
        tcp_flags: { flags: ["SYN", "ACK"], flags_set: "SYN" },
        syn: "negate",
        jump: "DROP",
      },
      "-p tcp --tcp-flags SYN,ACK SYN ! --syn -j DROP",
    ],
    [
      "a log, which needs no jump",
      { chain: "INPUT", log_prefix: "IN: ", log_level: "info", limit: "5/minute" },
      "-m limit --limit 5/minute -j LOG --log-prefix IN:  --log-level info",
    ],
    [
      "a rejection",
      { chain: "INPUT", protocol: "tcp", reject_with: "tcp-reset" },
      "-p tcp -j REJECT --reject-with tcp-reset",
    ],
    [
      "ranges and sets",
      {
        chain: "INPUT",
        src_range: "10.0.0.1-10.0.0.9",
        match_set: "bad",
        match_set_flags: "src,dst",
        goto: "LATER",
      },
      "-m iprange --src-range 10.0.0.1-10.0.0.9 -m set --match-set bad src,dst -g LATER",
    ],
  ])("writes %s", async (_what, params, rule) => {
    const { first, second } = await cycle(params);
    expect(rules()).toBe(`filter INPUT ${rule}\n`);
    expect(first.data).toMatchObject({
      rule,
      chain: "INPUT",
      table: "filter",
      state: "present",
      flush: false,
      ip_version: "ipv4",
    });
    expect(second.data).toEqual(first.data);
  });

  it("adds, inserts and deletes a rule of a table", async () => {
    const given = { chain: "PREROUTING", table: "nat", jump: "MARK", wait: "5" } as const;
    await cycle(given);
    await cycle({ ...given, state: "absent" });
    await cycle({ ...given, action: "insert", rule_num: "3" });
    const changes = tools.calls().filter((call) => !call.includes(" -C "));
    expect(changes).toEqual([
      "iptables -w 5 -t nat -A PREROUTING -j MARK",
      "iptables -w 5 -t nat -D PREROUTING -j MARK",
      "iptables -w 5 -t nat -I PREROUTING 3 -j MARK",
    ]);
  });

  it("sets the policy of a chain", async () => {
    const { check } = await cycle({ chain: "INPUT", policy: "DROP" });
    expect(check.change?.diff).toEqual({ path: "chain INPUT", attributes: { policy: ["ACCEPT", "DROP"] } });
  });

  it("makes and removes chains", async () => {
    await cycle({ chain: "MINE", chain_management: true });
    await cycle({ chain: "MINE", chain_management: true, state: "absent" });
    await cycle({ chain: "NEW", chain_management: true, jump: "ACCEPT" });
    expect(rules()).toBe("chain NEW\nfilter NEW -j ACCEPT\n");
  });

  it("removes all rules, each time", async () => {
    await cycle({ chain: "INPUT", jump: "DROP" });
    const flush = iptables({ chain: "INPUT", flush: true });
    for (const after of ["", ""]) {
      expect((await pass(flush, tools.system, sandbox.context())).state).toBe("changed");
      expect(rules()).toBe(after);
    }
  });

  it("needs the program, and check mode says so", async () => {
    const call = iptables({ chain: "INPUT", jump: "DROP", ip_version: "ipv6" });
    await expect(pass(call, tools.system, sandbox.context())).rejects.toThrow(/ip6tables is not installed/);
    expect((await pass(call, tools.system, sandbox.context({ check: true }))).change?.unknown).toMatch(
      /ip6tables/,
    );
  });

  it("names wrong parameters", () => {
    expect(() => iptables({ jump: "DROP" })).toThrow(/chain is required/);
    expect(() => iptables({ chain: "INPUT", match_set: "x" })).toThrow(/match_set and match_set_flags/);
    expect(() => iptables({ chain: "INPUT", jump: "A", goto: "B" })).toThrow(/either jump or goto/);
  });
});
