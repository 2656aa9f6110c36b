import { describe, expect, it } from "vitest";
import { coerceArguments, readBool } from "../../src/actions/coerce.ts";
import { copy } from "../../src/actions/files/copy.ts";
import { cron } from "../../src/actions/system/cron.ts";
import { locale_gen } from "../../src/actions/system/locale-gen.ts";
import { timezone } from "../../src/actions/system/timezone.ts";
import { service, wait_for } from "../../src/index.ts";

describe("arguments as Ansible's playbooks write them", () => {
  it.each<[string, Parameters<typeof coerceArguments>[0], Record<string, unknown>, Record<string, unknown>]>([
    [
      "texts for numbers and bools",
      cron,
      { name: "x", hour: 3, disabled: "yes", backup: "no" },
      { name: "x", hour: 3, disabled: true, backup: false },
    ],
    ["texts for whole numbers", wait_for, { port: "80", timeout: "1.5" }, { port: 80, timeout: 1.5 }],
    [
      "a list in one text",
      locale_gen,
      { name: "de_CH.UTF-8, fr_CH.UTF-8" },
      { name: ["de_CH.UTF-8", "fr_CH.UTF-8"] },
    ],
    [
      "another name of a parameter",
      timezone,
      { name: "Etc/UTC", rtc: "local" },
      { name: "Etc/UTC", hwclock: "local" },
    ],
    [
      "systemd's parameters for service",
      service,
      { name: "x", "daemon-reload": "yes", scope: "user" },
      { name: "x", daemon_reload: true, scope: "user" },
    ],
    ["the parameter before its alias", timezone, { rtc: "UTC", hwclock: "local" }, { hwclock: "local" }],
    ["no value for none given", timezone, { name: null, hwclock: "UTC" }, { hwclock: "UTC" }],
    [
      "a number for the permission bits themselves, as YAML reads 0644, 644 and 01777",
      copy,
      { dest: "/x", mode: 420, directory_mode: 1023, owner: 1000 },
      { dest: "/x", mode: "0o644", directory_mode: "0o1777", owner: 1000 },
    ],
    ["digits in a text for an octal mode", copy, { mode: "644" }, { mode: "644" }],
    ["a decimal mode for what it is", copy, { mode: 644 }, { mode: "0o1204" }],
    ["text for text, where data may stand as well", copy, { content: "a, b" }, { content: "a, b" }],
    ["data for data, where text may stand as well", copy, { content: [1] }, { content: [1] }],
    ["an unknown parameter, for the schema to refuse", timezone, { zone: "x" }, { zone: "x" }],
  ])("takes %s", (_what, action, given, wanted) => {
    expect(coerceArguments(action, given)).toEqual(wanted);
  });

  it("reads the words for bools", () => {
    expect(["yes", "On", "t", 1, "0", "no", false, "maybe", null].map(readBool)).toEqual([
      ...[true, true, true, true, false, false, false],
      ...[undefined, undefined],
    ]);
  });
});
