import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { service } from "../../../src/actions/services/service.ts";
import { systemd, systemd_service } from "../../../src/actions/services/systemd.ts";
import {
  isEnabled,
  isSurelyUp,
  isTemplate,
  refuseUnitName,
  touchUnit,
} from "../../../src/actions/services/unit.ts";
import { createMemo } from "../../../src/core/action.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const put = (path: string, text = ""): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
};
const link = (path: string, target: string): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  symlinkSync(target, at(path));
};

/** A host on which systemd runs cron, as its files show it. */
beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("run/systemd/system"), { recursive: true });
  put("lib/systemd/system/cron.service", "[Service]\n");
  link("etc/systemd/system/multi-user.target.wants/cron.service", "/lib/systemd/system/cron.service");
  link("run/systemd/units/invocation:cron.service", "bf523db6c7604932898f79af69d370a3");
  put("sys/fs/cgroup/system.slice/cron.service/cgroup.procs", "512\n");
  return () => sandbox[Symbol.dispose]();
});

// Each of these is answered by files alone: systemctl would speak of the machine the tests run on.
describe("systemd and service, of a unit that is up", () => {
  it.each([
    [
      systemd({ unit: "cron", state: "started", enabled: true }),
      { name: "cron", state: "started", enabled: true },
    ],
    [
      systemd_service({ name: "cron.service", enabled: true, masked: false }),
      { name: "cron.service", enabled: true },
    ],
    [service({ name: "cron", state: "started" }), { name: "cron", state: "started" }],
  ])("leave it, and return what was asked for, case %#", async (call, asked) => {
    for (const check of [true, false]) {
      const { state, data, inspected } = await pass(call, sandbox.system, sandbox.context({ check }));
      expect(state).toBe("unchanged");
      const status = {
        Id: "cron.service",
        LoadState: "loaded",
        ActiveState: "active",
        UnitFileState: "enabled",
      };
      expect(inspected?.data ?? data).toEqual({ ...asked, status });
    }
  });
});

describe("systemd, where systemctl is offline", () => {
  // The answers of systemctl with SYSTEMD_OFFLINE=1: it changes the links of unit files, and asks no manager.
  const offline = () =>
    withTools(sandbox, {
      systemctl: `state=$ROOT/enabled
for unit; do :; done
case $1 in
is-enabled) case $unit in nap) test -e $state && echo enabled || { echo disabled; exit 1; };; held) echo static;; *) exit 1;; esac;;
enable) touch $state;;
mask) test $unit = nap && echo "Failed to mask unit: File /etc/x already exists." >&2 || echo "Access denied" >&2; exit 1;;
*) echo "Running in chroot, ignoring command '$1'" >&2;;
esac`,
    });

  it.each(["started", "stopped", "restarted", "reloaded"] as const)(
    "takes a unit for %s: it comes to its state when the machine boots",
    async (state) => {
      for (const name of ["nap", "held"]) {
        const end = await pass(systemd({ name, state }), offline().system, sandbox.context({ check: false }));
        expect(end.state).toBe("unchanged");
        expect(end.data).toMatchObject({ name, status: {} });
      }
    },
  );

  it("enables a unit", async () => {
    const { system, calls } = offline();
    await checkApplyAgain({ ...sandbox, system }, systemd({ name: "nap", enabled: true, state: "started" }));
    expect(calls()).toContain("systemctl enable -- nap.service");
    expect(calls().some((call) => call.startsWith("systemctl start"))).toBe(false);
  });

  it("leaves a unit unmasked whose file is in the place of the mask, as Ansible does", async () => {
    const mask = (name: string) =>
      pass(systemd({ name, masked: true }), offline().system, sandbox.context({ check: false }));
    expect((await mask("nap")).state).toBe("changed");
    await expect(mask("held")).rejects.toThrow("Unable to mask service held: Access denied");
  });

  it("does not know a unit without a file", async () => {
    const call = systemd({ name: "nothing", state: "stopped" });
    await expect(pass(call, offline().system, sandbox.context({ check: false }))).rejects.toThrow(
      /Could not find the requested service nothing/,
    );
  });
});

describe("isSurelyUp", () => {
  const isUp = (name = "cron") => isSurelyUp(sandbox.system, name, { memo: createMemo() });

  it("is certain of a service with all its files", async () => {
    expect(await isUp()).toBe(true);
    expect(await isUp("cron.service")).toBe(true);
  });

  it("is certain with the older control groups too", async () => {
    put("sys/fs/cgroup/systemd/system.slice/ssh.service/cgroup.procs", "1\n2\n");
    put("usr/lib/systemd/system/ssh.service");
    link("etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service");
    link("run/systemd/units/invocation:ssh.service", "x");
    expect(await isUp("ssh")).toBe(true);
  });

  it.each<[string, () => void]>([
    ["waits to be started again", () => put("sys/fs/cgroup/system.slice/cron.service/cgroup.procs", "")],
    ["is masked", () => link("etc/systemd/system/cron.service", "/dev/null")],
    ["is masked until the next boot", () => link("run/systemd/system/cron.service", "/dev/null")],
  ])("is not of one that %s", async (_what, change) => {
    change();
    expect(await isUp()).toBe(false);
  });

  it("is not of another kind of unit, or one that is not there", async () => {
    expect(await isUp("cron.timer")).toBe(false);
    expect(await isUp("nothing")).toBe(false);
  });

  it("is not of a unit an action has worked on in this run", async () => {
    const memo = createMemo();
    await touchUnit("cron", { memo });
    expect(await isSurelyUp(sandbox.system, "cron.service", { memo })).toBe(false);
  });
});

describe("refuseUnitName", () => {
  it.each(["cron", "getty@tty1", "-.mount", "dev-disk-by\\\\x2dlabel-a.swap", "a:b_c.d@e.service"])(
    "lets %s be",
    (name) => expect(refuseUnitName(name)).toBeUndefined(),
  );
});

describe("isTemplate", () => {
  it.each([
    ["getty@", true],
    ["getty@.service", true],
    ["getty@tty1", false],
    ["getty@tty1.service", false],
    ["cron", false],
  ])("of %s is %s", (name, expected) => expect(isTemplate(name)).toBe(expected));
});

describe("isEnabled", () => {
  const of = (UnitFileState: string) =>
    isEnabled(sandbox.system, {
      Id: "nap.service",
      LoadState: "loaded",
      ActiveState: "active",
      UnitFileState,
    });

  it.each([
    ["enabled", true],
    ["disabled", false],
    ["enabled-runtime", true],
    ["indirect", false],
    ["alias", false],
    ["static", null],
    ["generated", false],
  ])("of %s is %s", async (state, expected) => expect(await of(state)).toBe(expected));

  it("of a unit made from an init script is what its runlevels say", async () => {
    put("etc/rc3.d/S01nap");
    expect(await of("generated")).toBe(true);
  });
});

describe("systemd's and service's parameters", () => {
  it.each<[() => unknown, RegExp]>([
    [() => systemd({}), /give name; or daemon_reload/],
    [() => systemd({ state: "started" }), /required by 'state': name/],
    [() => systemd({ name: "a", unit: "a", state: "started" }), /are the same/],
    [() => systemd({ name: "a", scope: "global", state: "started" }), /no running units/],
    [() => systemd({ name: "a", state: "running" as never }), /"state"/],
    // systemctl would stop every unit that fits.
    [() => systemd({ name: "lab*", state: "stopped" }), /"lab\*" is a pattern .* name one unit/],
    [() => systemd({ unit: "lab?.service", enabled: true }), /is a pattern/],
    [() => systemd({ service: "lab[12]", masked: true }), /is a pattern/],
    [() => systemd({ name: "cron ssh", state: "stopped" }), /has white space: name one unit/],
    [() => systemd({ name: ["cron", "ssh"] as never, state: "stopped" }), /"name"/],
    [() => service({ name: "lab*", state: "stopped" }), /is a pattern/],
    [() => service({ name: "[lab]", enabled: false }), /is a pattern/],
    [
      () => systemd({ name: "a", enable: true } as never),
      /unknown parameter "enable"; did you mean "enabled"/,
    ],
    [() => service({ state: "started" } as never), /"name" is required/],
  ])("are refused, case %#", (call, message) => expect(call).toThrow(message));

  it("need nothing else when systemd is only to reload, which check mode takes for no change", async () => {
    const call = systemd({ daemon_reload: true });
    const { state, inspected } = await pass(call, sandbox.system, sandbox.context({ check: true }));
    expect(state).toBe("unchanged");
    expect(inspected?.message).toContain("reload");
    expect(inspected?.data).toEqual({ name: null, status: {} });
  });
});
