import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { supervisorctl } from "../../../src/actions/services/supervisorctl.ts";
import { failureData } from "../../../src/core/action.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;

/** Keeps the list of programs in a file. */
const TOOL = `list=$ROOT/list
while :; do case $1 in -c|-s|-u|-p) shift 2;; *) break;; esac; done
set_state() { sed -i "s/^$(echo "$1" | sed 's/[*]/.*/') .*/&/; /^$(echo "$1" | sed 's/:[*]$/:/')/s/ .*/ $2/" $list; }
case $1 in
status) cat $list; grep -q STOPPED $list && exit 3; exit 0;;
start) [ $2 = broken ] && { echo "$2: ERROR (spawn error)"; exit 7; }; set_state $2 RUNNING;;
stop) set_state $2 STOPPED;;
restart|signal|reread) ;;
add) echo "$2 RUNNING" >> $list;;
remove) sed -i "/^$2 /d" $list;;
esac`;

beforeEach(() => {
  sandbox = makeSandbox();
  writeFileSync(
    join(sandbox.root, "list"),
    "app     RUNNING   pid 12, uptime 0:01:00\nidle    STOPPED   Not started\nbroken  STOPPED   x\nw:w_0   RUNNING   pid 3\nw:w_1   RUNNING   pid 4\n",
  );
  tools = withTools(sandbox, { supervisorctl: TOOL });
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof supervisorctl>[0];
const run = (params: Params, check = false) =>
  pass(supervisorctl(params), tools.system, sandbox.context({ check }));
const changes = (): readonly string[] => tools.calls().filter((call) => !call.endsWith(" status"));

describe("supervisorctl", () => {
  it.each<[Params, readonly string[]]>([
    [{ name: "idle", state: "started" }, ["supervisorctl start idle"]],
    [{ name: "app", state: "stopped" }, ["supervisorctl stop app"]],
    [{ name: "w:", state: "stopped" }, ["supervisorctl stop w:*"]],
    [{ name: "new", state: "present" }, ["supervisorctl reread", "supervisorctl add new"]],
    [{ name: "app", state: "absent" }, ["supervisorctl reread", "supervisorctl remove app"]],
    [
      { name: "app", state: "absent", stop_before_removing: true },
      ["supervisorctl reread", "supervisorctl stop app", "supervisorctl remove app"],
    ],
    [
      { name: "app", state: "stopped", config: "/c", server_url: "http://s", username: "u", password: "p" },
      ["supervisorctl -c /c -s http://s -u u -p p stop app"],
    ],
  ])("%j", async (params, calls) => {
    const { first } = await checkApplyAgain({ ...sandbox, system: tools.system }, supervisorctl(params));
    expect(changes()).toEqual(calls);
    const { name, state } = params;
    const isLasting = state === "present" || state === "absent";
    const affected = name === "w:" ? expect.arrayContaining([expect.stringMatching(/^w:/)]) : [name];
    expect(first.data).toEqual({ name, state, ...(isLasting ? {} : { affected }) });
  });

  it("restarts and signals every time, but signals nothing that is down", async () => {
    for (const params of [
      { name: "w", state: "restarted" },
      { name: "app", state: "signalled", signal: "HUP" },
    ] as const) {
      expect((await run(params)).state).toBe("changed");
      expect((await run(params)).state).toBe("changed");
    }
    expect((await run({ name: "idle", state: "signalled", signal: "HUP" })).state).toBe("unchanged");
    expect(new Set(changes())).toEqual(
      new Set(["supervisorctl restart w:*", "supervisorctl signal HUP app"]),
    );
  });

  it("fails with what supervisor says", async () => {
    const thrown = await run({ name: "broken", state: "started" }).catch((error: unknown) => error);
    expect((thrown as Error).message).toBe("cannot start broken: broken: ERROR (spawn error)");
    expect(failureData(thrown)).toMatchObject({ name: "broken", state: "started", rc: 7 });
    await expect(run({ name: "none", state: "started" })).rejects.toThrow(/knows no none/);
    expect((await run({ name: "none", state: "started" }, true)).state).toBe("unknown");
    expect((await run({ name: "none", state: "absent" })).state).toBe("unchanged");
  });

  it("fails when supervisor does not answer, or is missing", async () => {
    const call = supervisorctl({ name: "app", state: "started" });
    const down = withTools(sandbox, {
      supervisorctl: "echo 'unix:///var/run/supervisor.sock no such file'; exit 4",
    });
    await expect(pass(call, down.system, sandbox.context())).rejects.toThrow(
      /cannot ask supervisor: .*no such file/,
    );
    const none = withTools(sandbox, { supervisorctl: null });
    await expect(pass(call, none.system, sandbox.context())).rejects.toThrow(/package supervisor/);
  });

  it("needs a signal to send", () =>
    expect(() => supervisorctl({ name: "app", state: "signalled" })).toThrow(
      /state is signalled but all of the following are missing: signal/,
    ));
});
