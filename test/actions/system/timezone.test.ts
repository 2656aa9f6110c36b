import { mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { timezone } from "../../../src/actions/system/timezone.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const put = (path: string, text = ""): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
};

beforeEach(() => {
  sandbox = makeSandbox();
  put("usr/share/zoneinfo/Europe/Berlin", "TZif");
  put("etc/debian_version", "12\n");
  put("etc/timezone", "Etc/UTC\n");
  symlinkSync("/usr/share/zoneinfo/Etc/UTC", at("etc/localtime"));
  return () => sandbox[Symbol.dispose]();
});

describe("timezone, without systemd", () => {
  it("replaces the link and writes Debian's file", async () => {
    const { check, first, second } = await checkApplyAgain(sandbox, timezone({ name: "Europe/Berlin" }));
    const [old, now] = [{ name: "Etc/UTC" }, { name: "Europe/Berlin" }];
    expect(first.data).toEqual({ diff: { before: old, after: now } });
    expect(second.data).toEqual({ diff: { before: now, after: now } });
    expect(check.change?.diff).toEqual([
      { path: "time zone", attributes: { name: ["Etc/UTC", "Europe/Berlin"] } },
      { path: "/etc/timezone", before: "Etc/UTC\n", after: "Europe/Berlin\n" },
    ]);
    expect(readlinkSync(at("etc/localtime"))).toBe("/usr/share/zoneinfo/Europe/Berlin");
    expect(readFileSync(at("etc/timezone"), "utf8")).toBe("Europe/Berlin\n");
  });

  it("replaces a copy of a zone by a link", async () => {
    const other = makeSandbox();
    using _closed = other;
    mkdirSync(join(other.root, "usr/share/zoneinfo"), { recursive: true });
    mkdirSync(join(other.root, "etc"));
    writeFileSync(join(other.root, "usr/share/zoneinfo/CET"), "TZif");
    writeFileSync(join(other.root, "etc/localtime"), "TZif");
    await checkApplyAgain(other, timezone({ name: "CET" }));
    expect(readlinkSync(join(other.root, "etc/localtime"))).toBe("/usr/share/zoneinfo/CET");
  });

  it("sets the third line of adjtime and keeps the others", async () => {
    put("etc/adjtime", "1.5 1600000000 0.0\n1600000000\nUTC\n");
    await checkApplyAgain(sandbox, timezone({ hwclock: "local" }));
    expect(readFileSync(at("etc/adjtime"), "utf8")).toBe("1.5 1600000000 0.0\n1600000000\nLOCAL\n");
    expect(readlinkSync(at("etc/localtime"))).toBe("/usr/share/zoneinfo/Etc/UTC");
  });

  it("takes a missing adjtime for UTC", async () => {
    const { state } = await pass(timezone({ hwclock: "UTC" }), sandbox.system, sandbox.context());
    expect(state).toBe("unchanged");
  });

  it("fails for an unknown zone; check mode cannot know", async () => {
    const call = timezone({ name: "Mars/Olympus" });
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(/is not available/);
    expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("unknown");
    expect(readlinkSync(at("etc/localtime"))).toBe("/usr/share/zoneinfo/Etc/UTC");
  });
});

describe("timezone, with systemd", () => {
  it("asks and tells timedatectl", async () => {
    mkdirSync(at("run/systemd/system"), { recursive: true });
    writeFileSync(at("state"), "Timezone=Etc/UTC\nLocalRTC=no\n");
    const tools = withTools(sandbox, {
      timedatectl: `case $1 in
show) cat $ROOT/state;;
set-timezone) printf 'Timezone=%s\\nLocalRTC=no\\n' "$2" > $ROOT/state;;
set-local-rtc) echo "Failed to set local RTC: busy" >&2; exit 1;;
esac`,
    });
    await checkApplyAgain({ ...sandbox, system: tools.system }, timezone({ name: "Europe/Berlin" }));
    expect(tools.calls()).toContain("timedatectl set-timezone Europe/Berlin");
    // timedatectl writes Debian's file where the system keeps it, and nobody else does, as in Ansible.
    expect(readFileSync(at("etc/timezone"), "utf8")).toBe("Etc/UTC\n");
    await expect(pass(timezone({ hwclock: "local" }), tools.system, sandbox.context())).rejects.toThrow(
      /cannot set the hardware clock to local time: Failed to set local RTC: busy/,
    );
  });

  it("does without one that does not work", async () => {
    mkdirSync(at("run/systemd/system"), { recursive: true });
    const { system } = withTools(sandbox, { timedatectl: "exit 1" });
    await checkApplyAgain({ ...sandbox, system }, timezone({ name: "Europe/Berlin" }));
    expect(readlinkSync(at("etc/localtime"))).toBe("/usr/share/zoneinfo/Europe/Berlin");
  });
});

describe("timezone's parameters", () => {
  it.each([
    [{}, /one of the following is required: name, hwclock/],
    [{ name: "../etc/shadow" }, /must be a time zone/],
    [{ name: "-x" }, /must be a time zone/],
  ])("refuses %j", (params, message) => expect(() => timezone(params)).toThrow(message));
});
