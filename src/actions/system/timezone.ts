import * as v from "valibot";
import { type ActionContext, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { runsSystemd } from "../services/unit.ts";
import { oneRequired } from "../shared/combinations.ts";
import { runTool } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const params = v.pipe(
  v.strictObject({
    name: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[A-Za-z0-9][\w+-]*(?:\/[\w+-]+)*$/, "must be a time zone, such as Europe/Berlin"),
        v.description("The time zone, such as `Europe/Berlin`."),
      ),
    ),
    hwclock: v.optional(
      v.pipe(v.picklist(["local", "UTC"]), v.description("The time that the hardware clock shows.")),
    ),
  }),
  oneRequired("name", "hwclock"),
);

const ZONES = "/usr/share/zoneinfo";
const LOCALTIME = "/etc/localtime";
const TIMEZONE = "/etc/timezone";
const ADJTIME = "/etc/adjtime";

/** The settings as they are. */
interface ClockState {
  /** True when systemd's timedatectl is to set them. */
  readonly bySystemd: boolean;
  /** Empty when unknown. */
  readonly name: string;
  readonly hwclock: "local" | "UTC";
}

/** The data of a timezone task: as with Ansible's module, whatever the diff mode. */
interface TimezoneData {
  readonly diff: { readonly before: TimezoneSettings; readonly after: TimezoneSettings };
}

type TimezoneSettings = Partial<Pick<ClockState, "name" | "hwclock">>;

interface TimezoneChange extends Change {
  readonly data?: TimezoneData;
  readonly bySystemd: boolean;
  readonly name: string | undefined;
  readonly hwclock: "local" | "UTC" | undefined;
  /** `/etc/timezone`, and without systemd `/etc/adjtime`. */
  readonly files: readonly FileChange[];
}

/** Set the time zone of the system. */
export const timezone = defineAction<typeof params, TimezoneChange, TimezoneData>({
  name: "timezone",
  doc: `Set the time zone of the system, and the time of its hardware clock.

With systemd \`timedatectl\` sets both. Elsewhere they are written: the link \`/etc/localtime\` with Debian's \`/etc/timezone\`, and \`/etc/adjtime\` for the hardware clock, which is not moved. Running programs keep the old time zone; restart cron.`,
  params,
  aliases: { rtc: "hwclock" },
  examples: [{ name: "Europe/Berlin" }, { name: "Etc/UTC", hwclock: "UTC" }],
  title: ({ name, hwclock }) => name ?? hwclock ?? "",

  async inspect(given, system, context) {
    const now = await readClock(system);
    const name = given.name === now.name ? undefined : given.name;
    const hwclock = given.hwclock === now.hwclock ? undefined : given.hwclock;
    const files = [
      // Where systemd sets the zone, Debian's file is its own business.
      now.bySystemd ? null : await inspectTimezoneFile(given.name, system, context),
      hwclock === undefined || now.bySystemd ? null : await inspectAdjtime(hwclock, system, context),
    ].filter((file) => file !== null);
    const data = dataOf(given, now);
    if (name === undefined && hwclock === undefined && files.length === 0) return unchanged(data);
    const missing = name === undefined ? undefined : await zoneProblem(name, system);
    const attributes: Record<string, readonly [string, string]> = {
      ...(name === undefined ? {} : { name: [now.name, name] as const }),
      ...(hwclock === undefined ? {} : { hwclock: [now.hwclock, hwclock] as const }),
    };
    const diff: readonly Diff[] = [
      ...(Object.keys(attributes).length === 0 ? [] : [{ path: "time zone", attributes }]),
      ...files.map((file) => file.diff),
    ];
    if (missing !== undefined) {
      if (!context.check) throw new VolleyError("ACTION_FAILED", missing);
      return { bySystemd: now.bySystemd, name, hwclock, files, diff, unknown: missing };
    }
    return { bySystemd: now.bySystemd, name, hwclock, files, diff, data };
  },

  async apply({ bySystemd, name, hwclock, files, data }, _params, system, { signal }) {
    if (bySystemd) {
      const options = { signal, env: { LC_ALL: "C" } };
      if (name !== undefined)
        await runTool(system, ["timedatectl", "set-timezone", name], `set the time zone to ${name}`, options);
      if (hwclock !== undefined)
        await runTool(
          system,
          ["timedatectl", "set-local-rtc", hwclock === "local" ? "yes" : "no"],
          `set the hardware clock to ${hwclock} time`,
          options,
        );
    } else if (name !== undefined) await linkZone(name, system);
    for (const file of files) await applyFile(file, system);
    return data === undefined ? {} : { data };
  },
});

/** Tell of the settings that were asked for, before and after. */
function dataOf({ name, hwclock }: v.InferOutput<typeof params>, now: ClockState): TimezoneData {
  const asked = (given: TimezoneSettings): TimezoneSettings => ({
    ...(name === undefined ? {} : { name: given.name ?? name }),
    ...(hwclock === undefined ? {} : { hwclock: given.hwclock ?? hwclock }),
  });
  return { diff: { before: asked({ ...now, name: now.name || "n/a" }), after: asked({}) } };
}

async function readClock(system: ReadSystem): Promise<ClockState> {
  if ((await runsSystemd(system)) && (await system.which("timedatectl")) !== null) {
    // It needs D-Bus, which a small system may lack.
    const { code, stdout } = await system.query(["timedatectl", "show"], { env: { LC_ALL: "C" } });
    const name = /^Timezone=(.*)$/m.exec(stdout)?.[1];
    if (code === 0 && name !== undefined) {
      return { bySystemd: true, name, hwclock: /^LocalRTC=yes$/m.test(stdout) ? "local" : "UTC" };
    }
  }
  const adjtime = (await system.readIfExists(ADJTIME))?.toString("utf8") ?? "";
  return {
    bySystemd: false,
    name: await linkedZone(system),
    hwclock: adjtime.split("\n")[2]?.trim() === "LOCAL" ? "local" : "UTC",
  };
}

/** The name of the zone that `/etc/localtime` links to; empty for a copy of a zone, which has no name. */
async function linkedZone(system: ReadSystem): Promise<string> {
  if ((await system.lstat(LOCALTIME))?.type !== "link") return "";
  return /\/zoneinfo\/(.+)$/.exec(await system.readLink(LOCALTIME))?.[1] ?? "";
}

async function zoneProblem(name: string, system: ReadSystem): Promise<string | undefined> {
  if ((await system.stat(`${ZONES}/${name}`))?.type === "file") return undefined;
  return (await system.stat(ZONES)) === null
    ? `given timezone "${name}" is not available: there is no ${ZONES}; install the package tzdata first`
    : `given timezone "${name}" is not available: there is no ${ZONES}/${name}; look at \`timedatectl list-timezones\``;
}

/** Debian's file with the name, which programs read that want the name; other systems have none. */
async function inspectTimezoneFile(
  name: string | undefined,
  system: ReadSystem,
  context: ActionContext,
): Promise<FileChange | null> {
  if (name === undefined) return null;
  const current = await system.readIfExists(TIMEZONE);
  if (current === null && (await system.stat("/etc/debian_version")) === null) return null;
  if (current?.toString("utf8").trim() === name) return null;
  return inspectFile({
    ...{ system, context, path: TIMEZONE, content: `${name}\n`, current },
    ...(current === null ? { mode: 0o644 } : {}),
  });
}

/** Set the third line of adjtime_config(5), which says what time the clock shows. */
async function inspectAdjtime(
  hwclock: "local" | "UTC",
  system: ReadSystem,
  context: ActionContext,
): Promise<FileChange | null> {
  const current = await system.readIfExists(ADJTIME);
  const [drift = "0.0 0 0.0", calibrated = "0"] = current?.toString("utf8").split("\n") ?? [];
  const content = `${drift}\n${calibrated}\n${hwclock === "local" ? "LOCAL" : "UTC"}\n`;
  return inspectFile({
    ...{ system, context, path: ADJTIME, content, current },
    ...(current === null ? { mode: 0o644 } : {}),
  });
}

/** Replace the link at once: a program that starts meanwhile finds one of the two zones. */
async function linkZone(name: string, system: System): Promise<void> {
  const temporary = `${LOCALTIME}.volley-${process.pid}`;
  await system.remove(temporary);
  await system.symlink(`${ZONES}/${name}`, temporary);
  await system.rename(temporary, LOCALTIME);
}
